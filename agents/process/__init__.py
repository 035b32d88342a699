"""The agent as a process: signals, lock, events, ticks, last word."""
