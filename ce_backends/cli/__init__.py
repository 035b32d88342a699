"""`gridpilot ce`: its commands."""
