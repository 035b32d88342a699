"""Running tasks through an ARC CE."""
