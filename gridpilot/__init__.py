"""`gridpilot`: the one program that people type. What it does is done by `pilot`, `agents` and `ce_backends`."""
