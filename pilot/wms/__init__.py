"""The services that the pilot asks and tells."""
