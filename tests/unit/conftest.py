"""Keys are made once."""

from tests.kept_keys import kept_keys

__all__ = ["kept_keys"]
