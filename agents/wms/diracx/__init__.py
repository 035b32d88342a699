"""DiracX, where an installation has it beside DIRAC: tokens, reports and sandboxes over REST."""
