"""Running tasks on this node, several at once."""
