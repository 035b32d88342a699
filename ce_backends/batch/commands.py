"""How the commands of a batch system are run and read, the same for all dialects: whether one began, and what it meant.

A dialect has its `Words`; that no answer to a submit command is Uncertain, a full queue CEUnavailable, and all else
Rejected is decided here, once. A transport vouches for what a command that ended with 0 has written: it is whole. Of
one that was killed, or failed without a word, nothing is believed, whatever it had written until then.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ce_backends.base import Accepted, Rejected, Submission, TaskStatus, Uncertain
from ce_backends.batch.transport import CANNOT_EXECUTE, NOT_FOUND, Done, Transport, advised
from ce_backends.batch.unknown_words import UnknownWords
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.untrusted import strict_json
from ce_backends.untrusted.text import lines_of

_BY_SIGNAL = range(129, 152)  # a shell's exit codes for what a signal has ended; PBS's own begin at 153


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the commands of one batch system say, and what it means. Each text is looked for in what they complain.

    What a submit command says, in the order in which it is looked at; what is in none of these is a refusal for good.

    Attributes:
        name: of the batch system, for messages.
        queued: the job is queued although the command has failed.
        not_now_codes: the command's exit codes for the same as `not_now`.
        for_good: it will never take such a job, whatever else is in the same words.
        no_answer: the job may be queued all the same.
        too_long: it takes no array of so many.
        not_now: it takes nothing at present: it is down, full, drained.
        gone: in a line of a command that cancels: that one has ended, is ending, or was never there.
        unconfigured: of any command, and in nothing else that it says: it does not know which batch system is its own.
        configure: what to do then.
        at_once: the most ids in one command; an argument may be 128 kB long.
        clean: takes out of a complaint what is no news.
    """

    name: str
    queued: Sequence[str] = ()
    not_now_codes: Sequence[int] = ()
    for_good: Sequence[str] = ()
    no_answer: Sequence[str] = ()
    too_long: Sequence[str] = ()
    not_now: Sequence[str] = ()
    gone: Sequence[str]
    unconfigured: Sequence[str]
    configure: str
    at_once: int = 1000
    clean: Callable[[str], str] = str


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


def alone(command: str) -> Sequence[str]:
    """Return how a command is started where nothing stands before its arguments."""
    return (command,)


class Commands:
    """The commands of one batch system, on one host.

    It may be used by several threads where its transport may.

    Args:
        transport: to the host.
        words: what its commands say.
        timeout_s: for each command.
        start: returns what an argv begins with, by the command's name; may raise CEUnavailable if it cannot be used.
    """

    def __init__(
        self, transport: Transport, words: Words, *, timeout_s: float, start: Callable[[str], Sequence[str]] = alone
    ) -> None:
        self._transport = transport
        self._words = words
        self._timeout_s = timeout_s
        self._start = start
        self._unknown = UnknownWords(words.name)

    def run(self, command: str, *arguments: str, stdin: bytes = b"") -> Done:
        """Return the answer of a command that could ask its batch system; no exit code if it did not end by itself.

        Raises:
            CEUnavailable: a shell or env(1) could not start it, or it found no configuration.
        """
        done = self._transport.run([*self._start(command), *arguments], timeout_s=self._timeout_s, stdin=stdin)
        where, words = self._transport.where, self._words
        done = replace(done, stderr=words.clean(done.stderr))
        if done.exit_code in (CANNOT_EXECUTE, NOT_FOUND):
            raise CEUnavailable(advised(f"{command} cannot be started on {where}: {done.sentence}", done.exit_code))
        if done.exit_code and _has_any(done.stderr, words.unconfigured):
            raise CEUnavailable(
                f"{command} finds no configuration on {where}: {done.sentence}; {words.configure}, "
                "also in shells that ssh starts"
            )
        return settled(done)

    def ask(self, command: str, *arguments: str, nothing: Sequence[str] = ()) -> str:
        """Return what a command has printed; empty where it fails with one of these texts: then there is nothing.

        Raises:
            CEError: it has failed otherwise, or gave no answer.
        """
        done = self.run(command, *arguments)
        if done.exit_code == 0:
            return done.stdout
        if done.exit_code is not None and _has_any(done.stderr, nothing):
            return ""
        raise CEError(f"{command}: {done.sentence}")

    def submitted(self, done: Done, command: str, size: int, job_id: Callable[[str], str]) -> Submission:
        """Return what the answer of a submit command means.

        Args:
            done: its answer.
            command: its name.
            size: of the array, 1 for a job.
            job_id: reads the job's id in what was printed; returns nothing where there is none.

        Raises:
            CEUnavailable: surely nothing was submitted, and a later attempt may succeed.
            CEError: surely nothing was submitted, and smaller arrays may be.
        """
        if not _has_any(done.stdout + done.stderr, self._words.queued) and (
            failure := self._failure(done, f"{command}: {done.sentence}", size)
        ):
            return failure
        if found := job_id(done.stdout):
            return Accepted(found)
        beside = f": {done.sentence}" if done.stderr.strip() else ""
        return Uncertain(f"{command} printed {done.stdout!r} for a job number{beside}")

    def _failure(self, done: Done, said: str, size: int) -> Rejected | Uncertain | None:
        words = self._words
        if done.exit_code == 0:  # words beside a good answer do not spoil it
            return None
        if done.exit_code in words.not_now_codes:
            raise CEUnavailable(said)
        if done.exit_code is None or not done.stderr.strip():
            return Uncertain(said)
        if _has_any(done.stderr, words.for_good):
            return Rejected(said)
        if _has_any(done.stderr, words.no_answer):
            return Uncertain(said)
        if size > 1 and _has_any(done.stderr, words.too_long):
            raise CEError(said)
        if _has_any(done.stderr, (*words.not_now, *_PASSES)):
            raise CEUnavailable(said)
        return Uncertain(said) if _has_any(done.stderr, _CUT_OFF) else Rejected(said)

    def cancel(self, command: str, ids: Sequence[str]) -> None:
        """Ask for the end of these, as many at once as may be; what has gone is no error, and hides no other complaint.

        A command complains on stderr, or, where it says nothing there, on stdout: a line for each.

        Raises:
            CEError: it gave no answer, or did not do it.
        """
        for some in self.chunks(ids):
            done = self.run(command, *some)
            if done.exit_code is None:
                raise CEError(f"{command}: {done.sentence}")
            complaints = self.complaints(done.stderr if done.stderr.strip() else done.stdout)
            if done.exit_code != 0 and complaints:
                raise CEError(f"{command}: {replace(done, stderr=' '.join(complaints)).sentence}")

    def complaints(self, text: str) -> list[str]:
        """Return the lines that are not blank, and do not say that something has gone."""
        return [line for line in lines_of(text) if line.strip() and not _has_any(line, self._words.gone)]

    def chunks(self, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield these ids, as many at once as one command takes."""
        at_once = self._words.at_once
        return (ids[at : at + at_once] for at in range(0, len(ids), at_once))

    def unknown(self, word: str) -> TaskStatus:
        """Return the status for a word that is not known, which is no end; the first time it is logged."""
        return self._unknown.status(word)


def _has_any(said: str, texts: Iterable[str]) -> bool:
    return any(text in said for text in texts)


def settled(done: Done) -> Done:
    """Return an answer; without exit code if a signal has ended the command, or something that is silent about it."""
    code = done.exit_code
    if code is None or code == 0:
        return done
    was_cut = code < 0 or code in _BY_SIGNAL or not (done.stdout.strip() or done.stderr.strip())
    return replace(done, exit_code=None) if was_cut else done


def last_line(text: str) -> str:
    """Return the last line that is not blank, empty if its end is missing."""
    return text.rstrip().rpartition("\n")[2].strip() if text.endswith("\n") else ""


def decimal(text: str) -> str:
    """Return a job number as it is, nothing for what is none."""
    return text if text.isdecimal() else ""


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
