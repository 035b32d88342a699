"""One job from its match to its end."""
