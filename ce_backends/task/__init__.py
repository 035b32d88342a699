"""One task: its directory, its script, its files on their way in and out."""
