"""Holds a transfer in its midst, or kills the agent at a step of a file; on the agent's PYTHONPATH in these tests only.

GRIDPILOT_TRANSFER_POINTS is a folder. For a file NAME, of whatever job:

- `NAME.hold` there: when half of the file has moved, `NAME.held` is written with the bytes, and the transfer goes on
  when `NAME.go` is there.
- `NAME.kill` there, with `STEP ELEMENT before` or `STEP ELEMENT after` (`-` where a step has no element): the agent
  dies by SIGKILL when that step of the file is written into the ledger, before it or right after; `NAME.killed` is
  there first.
"""

import functools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

LONGEST_S = 900.0  # longer than any test waits: a transfer that goes on by itself would hide what was to be shown
PLACE = os.environ.get("GRIDPILOT_TRANSFER_POINTS", "")


def _hold(name: str, moved_bytes: int) -> None:
    """Wait at the point of a file, the first time that it is reached."""
    place = Path(PLACE)
    with suppress(OSError):
        (place / f"{name}.hold").rename(place / f"{name}.held-now")
        (place / f"{name}.held-now").write_text(str(moved_bytes), encoding="ascii")
        (place / f"{name}.held-now").rename(place / f"{name}.held")
        end_s = time.monotonic() + LONGEST_S
        while not (place / f"{name}.go").exists() and time.monotonic() < end_s:
            time.sleep(0.05)


def _holding_pieces(pieces: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    @functools.wraps(pieces)
    def held(outgoing: Any) -> Iterator[Any]:
        done = 0
        for piece in pieces(outgoing):
            yield piece
            done += len(piece)
            if 2 * done >= outgoing.size_bytes > done:
                _hold(outgoing._path.name, done)

    return held


def _holding_take(take: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    @functools.wraps(take)
    def held(incoming: Any, piece: Any) -> None:
        take(incoming, piece)
        if 2 * incoming.arrived_bytes >= incoming._content.size_bytes > incoming.arrived_bytes:
            _hold(incoming.path.name.removeprefix(".").removesuffix(".part"), incoming.arrived_bytes)

    return held


def _die(point: Path) -> None:
    point.rename(point.with_suffix(".killed"))
    os.kill(os.getpid(), signal.SIGKILL)


def _killing(save: Callable[..., Any]) -> Callable[..., Any]:
    """Return a change of steps that kills the agent when it is the one."""

    @functools.wraps(save)
    def killing(ledger: Any, uploads: Any) -> Any:
        if not uploads:
            return save(ledger, uploads)
        first = uploads[0]
        of_task = (upload.name for upload in ledger.uploads(first.stamp) if upload.name)
        name = first.name or next(of_task, "")  # the row of a request has no file's name
        point, wanted, at = Path(PLACE, f"{name}.kill"), "", f"{first.step} {first.element or '-'}"
        with suppress(OSError):
            wanted = point.read_text(encoding="ascii")
        if wanted == f"{at} before":
            _die(point)
        result = save(ledger, uploads)
        if wanted == f"{at} after":
            _die(point)
        return result

    return killing


def _install() -> None:
    from agents.data import local_file  # noqa: PLC0415 - any other Python here must start without it
    from agents.jobs.ledger import Ledger  # noqa: PLC0415

    local_file.Outgoing.pieces = _holding_pieces(local_file.Outgoing.pieces)  # type: ignore[method-assign]
    local_file.Incoming.take = _holding_take(local_file.Incoming.take)  # type: ignore[method-assign]
    Ledger.save_uploads = _killing(Ledger.save_uploads)  # type: ignore[method-assign]


if PLACE:
    _install()
