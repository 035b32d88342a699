"""What the WMS is told, until it has accepted it."""
