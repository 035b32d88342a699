"""The CE types of DIRAC that are more than one class: one file for each."""
