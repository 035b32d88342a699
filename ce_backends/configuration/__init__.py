"""CEs as DIRAC's configuration defines them."""
