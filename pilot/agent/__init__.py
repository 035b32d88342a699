"""Starting the agent, and staying with it."""
