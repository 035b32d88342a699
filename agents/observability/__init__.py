"""What the agent shows of itself: history, metrics, traces, the page of the slot."""
