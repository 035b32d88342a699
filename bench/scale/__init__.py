"""What many agents ask of the servers: simulated with the agents' own timing, and tried on real servers."""
