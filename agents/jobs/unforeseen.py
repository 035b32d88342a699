"""Errors that nobody foresaw: whether the node is to blame for one, and what becomes of the job that it belongs to."""

import errno
import logging
from collections.abc import Iterator
from contextlib import suppress

from agents.errors import Blame, FailJob, HandBack, JobError
from agents.jobs.job import Minor
from agents.log import EventLog

log = EventLog("jobs")

# What a node lacks that runs out of something, or refuses it: descriptors, processes, memory, disk, rights.
_LACKS = {
    errno.EMFILE: "this process may open no more files",
    errno.ENFILE: "the node may open no more files",
    errno.EAGAIN: "no more processes or threads may be started",
    errno.ENOMEM: "there is no memory left",
    errno.ENOSPC: "there is no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EIO: "the disk fails",
    errno.EACCES: "the node does not allow it",
    errno.EPERM: "the node does not allow it",
}
_NO_THREAD = "can't start new thread"  # RuntimeError of CPython, which drops the errno
_NOT_LOADED = ("Cannot allocate memory", "failed to map segment")  # ImportError with a word of ld.so


def lack(error: BaseException) -> str:
    """Return what the node lacks, in a sentence, as this error or one that led to it says; empty when it is not that.

    What fails while things are taken apart hides its cause: that is looked for too.
    """
    for one in _causes(error):
        if isinstance(one, OSError) and one.errno in _LACKS:
            where = f"{one.filename}: " if one.filename else ""
            return f"{where}{_LACKS[one.errno]} ({one.strerror})"
        if isinstance(one, MemoryError):
            return _LACKS[errno.ENOMEM]
        if isinstance(one, RuntimeError) and _NO_THREAD in str(one):
            return f"{_LACKS[errno.EAGAIN]} ({one})"
        if isinstance(one, ImportError) and any(word in str(one) for word in _NOT_LOADED):
            return f"{_LACKS[errno.ENOMEM]} ({one})"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def of_its_job(error: BaseException) -> JobError:
    """Return how the job ends that an error belongs to: handed back where the node is to blame, failed where we are."""
    if isinstance(error, JobError):
        return error
    if sentence := lack(error):
        return HandBack(Minor.NODE_FAILED, sentence, blame=Blame.SITE)
    return FailJob(Minor.EXCEPTION, f"internal error: {words(error)}", blame=Blame.AGENT)


def noted(job_id: int, error: BaseException) -> JobError:
    """Write an error into the log that belongs to a job, and return how that ends by it."""
    meaning = of_its_job(error)
    log.error("job.crashed", job_id=job_id, blame=meaning.blame, cause=words(error))
    keep_traceback(error)
    return meaning


def words(error: BaseException) -> str:
    """Return an error in one line, whatever it says of itself."""
    text = type(error).__name__
    with suppress(Exception):  # an error whose own words fail
        text = f"{text}: {error}".partition("\n")[0][:200]
    return text


def keep_traceback(error: BaseException) -> None:
    """Put an error's traceback into the log: nobody can put right what nobody foresaw without it."""
    logging.getLogger("gridpilot").error("traceback", exc_info=error)
