"""The JobAgent: matches DIRAC jobs, runs them in this slot, and reports every one to its end."""

__version__ = "0.1.0"
