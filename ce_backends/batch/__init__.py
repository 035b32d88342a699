"""Running tasks through a batch system, here or over ssh."""
