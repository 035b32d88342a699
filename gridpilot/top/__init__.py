"""`gridpilot top`: a WMS, slots and SiteDirectors on a terminal, as they are now."""
