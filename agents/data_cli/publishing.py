"""`register` as a command: which element, which journal, and what is said at the end."""

import hashlib
import threading
import time
from pathlib import Path

from agents.credentials.identity import Identity
from agents.data.access import Access
from agents.data.lfn import lfn_of
from agents.data.listing import Shelf
from agents.data.listing_dips import DipsShelf
from agents.data.listing_https import HttpsShelf
from agents.data.storage import Endpoint
from agents.data.way import Watch
from agents.data_cli import screen
from agents.data_cli.journal import Journal, State
from agents.data_cli.opening import Opened
from agents.data_cli.outcome import Outcome
from agents.data_cli.register import Registration
from agents.errors import ConfigurationError

_NAMED = 20  # files that were not registered, of which a sentence is printed
_TOLD = 10_000  # the same for programs
_SILENCE_S = 1800.0  # a dips element sums up all files of a folder before it answers


def registered(
    who: Opened, element: str, name: str, *, journal: Path | None, reads: bool, stopping: threading.Event
) -> Outcome:
    """Publish a directory; return what became of its files.

    Raises:
        ConfigurationError: there is no such element, none that can be listed, or the journal is another's.
        AgentError: as of Registration.run.
    """
    access = who.access
    directory = lfn_of(name.rstrip("/"), access.vo)
    endpoint = _endpoint(access, element)
    path = journal or Path(f"register-{element}-{hashlib.sha256(directory.encode()).hexdigest()[:8]}.sqlite")
    kept, shelf = Journal(path, element, directory), _shelf(who.owner, access.vo, endpoint, stopping)
    started_s = time.monotonic()
    before = kept.counts()
    registration = Registration(
        access=access,
        element=element,
        endpoint=endpoint,
        shelf=shelf,
        journal=kept,
        reads=reads,
        stopping=stopping,
    )
    try:
        with screen.progress(lambda: _sentence(kept.counts())):
            registration.run()
        return _outcome(kept, path, before, screen.since(started_s))
    finally:
        shelf.close()
        kept.close()


def _endpoint(access: Access, name: str) -> Endpoint:
    """Return the way to an element on which its folders can be listed."""
    known = access.elements.all()
    if name not in known:
        raise ConfigurationError(f"{name}: there is no such element; expected one of {', '.join(known) or 'none'}")
    ways = access.elements.to_read(known[name])
    found = next((way for way in ways if way.family in ("https", "dips")), None)
    if found is None:
        spoken = ", ".join(way.protocol for way in ways) or "nothing that may be read"
        raise ConfigurationError(f"{name}: its folders cannot be listed: it speaks {spoken}, expected https or dips")
    return found


def _shelf(owner: Identity, vo: str, endpoint: Endpoint, stopping: threading.Event) -> Shelf:
    watch = Watch(is_given_up=stopping.is_set, silence_s=_SILENCE_S)
    if endpoint.family == "dips":
        return DipsShelf(owner, vo, watch)
    return HttpsShelf(owner, Watch(is_given_up=stopping.is_set))


def _sentence(counts: dict[State, int]) -> str:
    settled = sum(counts.values()) - counts[State.FOUND] - counts[State.SENDING]
    return f"Registering: {settled} of {sum(counts.values())} files that were found"


def _outcome(journal: Journal, path: Path, before: dict[State, int], seconds: float) -> Outcome:
    counts = journal.counts()
    new = counts[State.DONE] - before[State.DONE]
    rate = f"{new / seconds * 3600:.0f} an hour"
    words = [
        f"{new} registered now in {seconds:.1f} s ({rate})",
        f"{before[State.DONE]} before",
        f"{counts[State.KNOWN]} known already",
        f"{counts[State.CLASH]} known with other content",
        f"{counts[State.REFUSED] + counts[State.NO_LFN]} refused",
    ]
    failed = [f"{name}: {reason}" if name not in reason else reason for _, name, reason in journal.not_done(_NAMED)]
    left = counts[State.CLASH] + counts[State.REFUSED] + counts[State.NO_LFN] - len(failed)
    if left > 0:
        failed.append(f"and {left} more, which {path} names (table files)")
    told = {
        "journal": str(path),
        "seconds": round(seconds, 3),
        "registered_now": new,
        "files": {str(state): count for state, count in counts.items()},
        "not_registered": [
            {"lfn": name, "state": state, "reason": reason} for state, name, reason in journal.not_done(_TOLD)
        ],
    }
    return Outcome("\n".join(words), told, tuple(failed))
