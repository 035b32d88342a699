"""The node that the pilot finds."""
