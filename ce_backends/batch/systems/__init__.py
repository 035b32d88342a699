"""The batch systems: one file, or two, for each."""
