"""What holds all processes of a task together."""
