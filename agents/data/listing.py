"""What lies in the folders of a storage element, whether the catalogue knows it or not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an element says of a file.

    Attributes:
        size_bytes: its size.
        adler32: its checksum, None where the element tells none.
    """

    size_bytes: int
    adler32: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder in a folder.

    Attributes:
        name: without any slash; as a stranger wrote it.
        is_folder: it is one.
        size_bytes: of a file, None where the list does not say.
        adler32: of a file, None where the list does not say.
    """

    name: str
    is_folder: bool
    size_bytes: int | None = None
    adler32: int | None = None


class Shelf(Protocol):
    """Lists folders by one protocol. From any thread; errors are TransferErrors."""

    def folder(self, url: str, take: Callable[[Entry], object]) -> None:
        """Hand over what lies directly in a folder, in any order, while it comes; after an error it was not all.

        Raises:
            NotHere: there is no such folder.
        """

    def measured(self, url: str, *, reads: bool, silence_s: float) -> Measured:
        """Return size and checksum of a file, as the element says; with `reads` it is read where it does not.

        Raises:
            Transient: nothing came for so long, among others: another connection may help.
        """

    def close(self) -> None:
        """Close what connections are kept; when nobody asks any more."""
