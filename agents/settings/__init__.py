"""What the agent can be told."""
