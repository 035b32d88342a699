"""The pilot's steps, DIRAC's commands, and what they work on."""
