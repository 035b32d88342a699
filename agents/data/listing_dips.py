"""Folders over dips: DIRAC's StorageElement lists a folder with sizes and checksums in one call."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from agents.credentials.identity import Identity
from agents.data import checksum
from agents.data.errors import NotHere, Unsupported
from agents.data.listing import Entry, Measured
from agents.data.over_dips import OverDips
from agents.data.way import Watch

_MOST_MB = 512
_IN_DETAIL = "l"


class DipsShelf:
    """See Shelf.

    Args:
        owner: whose proxy is shown.
        vo: the owner's.
        watch: looks on.
    """

    def __init__(self, owner: Identity, vo: str, watch: Watch) -> None:
        self._service = OverDips(owner, vo)
        self._watch = watch

    def folder(self, url: str, take: Callable[[Entry], object]) -> None:
        """See Shelf."""
        answer = self._service.asked("listDirectory", url, [_IN_DETAIL], self._watch, most_mb=_MOST_MB)
        if not isinstance(answer, Mapping):
            raise Unsupported(f"{url}: expected the list of a folder, got {str(answer)[:60]!r}")
        for name, facts in answer.items():
            if not isinstance(name, str) or "/" in name or not isinstance(facts, Mapping):
                raise Unsupported(f"{url}: expected names and facts of files, got {str(name)[:60]!r}")
            size, text = facts.get("Size"), facts.get("Checksum")
            is_size = isinstance(size, int) and not isinstance(size, bool) and size >= 0
            take(
                Entry(
                    name,
                    is_folder=facts.get("Type") == "Directory",
                    size_bytes=size if is_size else None,
                    adler32=checksum.number_of(text),
                )
            )

    def measured(self, url: str, *, reads: bool, silence_s: float) -> Measured:  # noqa: ARG002 - it always tells
        """See Shelf."""
        watch = replace(self._watch, silence_s=silence_s)
        facts = self._service.asked("getMetadata", url, [], watch, most_mb=1)
        size = facts.get("Size") if isinstance(facts, Mapping) else None
        if not isinstance(facts, Mapping) or isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise NotHere(f"{url}: expected size and checksum of a file, got {str(facts)[:60]!r}")
        return Measured(size_bytes=size, adler32=checksum.number_of(facts.get("Checksum")))

    def close(self) -> None:
        """See Shelf: no connection is kept."""
