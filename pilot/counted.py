"""Numbers with their nouns, as a person would write them."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return `1 processor`, `2 processors`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
