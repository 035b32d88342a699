"""What a batch system's command has answered: whether it began, came to its own end, and what its failure means.

A transport vouches for what a command that ended with 0 has written: it is whole. Of one that was killed, or failed
without a word, nothing is believed, whatever it had written until then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ce_backends.base import Rejected, Uncertain
from ce_backends.batch.transport import CANNOT_EXECUTE, NOT_FOUND, Done, advised
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.untrusted import strict_json

_BY_SIGNAL = range(129, 152)  # a shell's exit codes for what a signal has ended; PBS's own begin at 153


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfigured:
    """How commands fail that do not know which batch system is theirs.

    Attributes:
        texts: each of them is in what such a command says, and in nothing else that it says.
        advice: what to do then.
    """

    texts: Sequence[str]
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """What a submit command says when it fails. What is in none of these is a refusal for good, too.

    Attributes:
        not_now: the batch system takes nothing at present: it is down, full, drained.
        no_answer: the job may be queued all the same.
        for_good: it will never take such a job, whatever else is in the same words.
        too_long: it takes no array of so many.
    """

    not_now: Sequence[str]
    no_answer: Sequence[str] = ()
    for_good: Sequence[str] = ()
    too_long: Sequence[str] = ()


# errno's own words, which commands of all batch systems pass on
_PASSES = (
    "No space left on device",
    "Disk quota exceeded",
    "Connection refused",
    "No route to host",
    "Network is unreachable",
    "Temporary failure in name resolution",
    "Cannot allocate memory",
    "Resource temporarily unavailable",
    "Stale file handle",
    "Too many open files",
    "Read-only file system",
    "Input/output error",
)
_CUT_OFF = ("Connection timed out", "Connection reset by peer", "Broken pipe", "timed out")


def begun(done: Done, command: str, where: str, unconfigured: Unconfigured) -> Done:
    """Return the answer of a command that could ask its batch system; without exit code if it did not end by itself.

    Raises:
        CEUnavailable: a shell or env(1) could not start it, or it found no configuration.
    """
    if done.exit_code in (CANNOT_EXECUTE, NOT_FOUND):
        raise CEUnavailable(advised(f"{command} cannot be started on {where}: {done.sentence}", done.exit_code))
    if done.exit_code and any(text in done.stderr for text in unconfigured.texts):
        raise CEUnavailable(
            f"{command} finds no configuration on {where}: {done.sentence}; {unconfigured.advice}, "
            "also in shells that ssh starts"
        )
    return settled(done)


def settled(done: Done) -> Done:
    """Return an answer; without exit code if a signal has ended the command, or something that is silent about it."""
    code = done.exit_code
    if code is None or code == 0:
        return done
    was_cut = code < 0 or code in _BY_SIGNAL or not (done.stdout.strip() or done.stderr.strip())
    return replace(done, exit_code=None) if was_cut else done


def refusal(done: Done, command: str, refusals: Refusals, size: int = 1) -> Rejected | Uncertain | None:
    """Return what a submit command's failure means, None if it has not failed.

    Args:
        done: its answer.
        command: its name.
        refusals: what its words mean.
        size: of the array that was to be submitted.

    Raises:
        CEUnavailable: surely nothing was submitted, and a later attempt may succeed.
        CEError: surely nothing was submitted, and smaller arrays may be.
    """
    said = f"{command}: {done.sentence}"
    if done.exit_code == 0:  # words beside a good answer do not spoil it
        return None
    if done.exit_code is None or not done.stderr.strip():
        return Uncertain(said)
    if any(text in done.stderr for text in refusals.for_good):
        return Rejected(said)
    if any(text in done.stderr for text in refusals.no_answer):
        return Uncertain(said)
    if size > 1 and any(text in done.stderr for text in refusals.too_long):
        raise CEError(said)
    if any(text in done.stderr for text in (*refusals.not_now, *_PASSES)):
        raise CEUnavailable(said)
    return Uncertain(said) if any(text in done.stderr for text in _CUT_OFF) else Rejected(said)


def last_line(text: str) -> str:
    """Return the last line that is not blank, empty if its end is missing."""
    return text.rstrip().rpartition("\n")[2].strip() if text.endswith("\n") else ""


def parsed_json(text: str, command: str) -> Any:
    """Return what a command has printed as JSON.

    Raises:
        CEError: it is none, or not all of it.
    """
    try:
        return strict_json.read(text)
    except strict_json.NotJson as error:
        raise CEError(f"{command}: expected JSON to its end, not {text[-200:]!r}: {error}") from error


def whole_rows(text: str, command: str, columns: int) -> list[list[str]]:
    """Return the columns, divided by |, of all lines.

    Raises:
        CEError: a line is not what was asked for, or the last one is cut: then nothing of it is believed.
    """
    rows = [line.split("|", columns - 1) for line in text.split("\n")]
    if rows.pop() != [""]:
        raise CEError(f"{command}: its answer ends in the middle of a line, {text[-80:]!r}")
    for row in rows:
        if len(row) != columns or not row[0]:
            raise CEError(f"{command}: expected {columns} columns divided by |, found {'|'.join(row)[:80]!r}")
    return rows
