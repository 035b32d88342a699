"""Unpacking input sandboxes, so that no archive can write outside its directory."""

import errno
import io
import lzma
import shutil
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from agents.errors import AgentError, Blame, FailJob, HandBack, JobError
from agents.jobs.job import Minor
from ce_backends.task import unpacking
from ce_backends.untrusted.archive import ArchiveLimits, BadArchive, TooSlow
from ce_backends.untrusted.compression import UnreadableFormat
from ce_backends.untrusted.names import BadName

LIMITS = ArchiveLimits(unpacked_bytes=4 * 10**9)
_DISK_RESERVE_BYTES = 10 * 10**6  # DIRAC's Watchdog MinDiskSpace
_OF_THE_ARCHIVE = (
    errno.ENAMETOOLONG,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EINVAL,
    errno.EILSEQ,
    errno.ELOOP,
    errno.ENOENT,  # of a second name of nothing
    errno.EMLINK,
)
_PACKED = ("", ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".tbz2", ".xz", ".txz", ".lzma", ".zst", ".tzst")


class TooLarge(AgentError):
    """A file does not fit into what a sandbox may have."""


def is_archive(path: Path) -> bool:
    """Tell whether a file begins as a tar archive does, packed or not."""
    try:
        return tarfile.is_tarfile(path)
    except (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError):
        return False


def unpack_file(path: Path, into: Path, limits: ArchiveLimits = LIMITS) -> ArchiveLimits:
    """Unpack a file as `unpack` does its bytes."""
    with path.open("rb") as file:
        return _unpacked(file, into, limits, path.name)


def unpack(packed: bytes, into: Path, limits: ArchiveLimits = LIMITS, *, name: str = "") -> ArchiveLimits:
    """Unpack an input sandbox. Before anything is written all of it has been read once, and judged.

    Whatever the archive holds, nothing outside of the directory is touched: no name and no link leads out of it, and
    files are made by directory descriptors, through no link.

    Args:
        packed: the archive.
        into: the directory.
        limits: what it may be.
        name: the archive's; its end tells how the archive is packed where its content does not.

    Returns:
        What is left of the limits, for further sandboxes of the same job.

    Raises:
        FailJob: it is no tar archive, more than its limits allow, or a member leads outside.
        HandBack: this node cannot hold it, or not write it in its time; or this pilot has no reader for its format.
    """
    return _unpacked(io.BytesIO(packed), into, limits, name)


def _unpacked(packed: BinaryIO, into: Path, limits: ArchiveLimits, name: str) -> ArchiveLimits:
    try:
        seen = unpacking.look_through(packed, limits)
        _check_room(seen.size_bytes, into)
        packed.seek(0)
        _write(packed, into, limits)
    except BadName as error:
        raise _refusal(f"a member of the archive is not allowed: {error}") from error
    except UnreadableFormat as error:
        raise _no_reader(str(error)) from error
    except BadArchive as error:
        if (suffix := PurePosixPath(name).suffix) not in _PACKED:
            raise _no_reader(f"its name ends in {suffix[:20]!r}, a format that is not known here ({error})") from error
        raise _refusal(str(error)) from error
    except OSError as error:
        raise _unpack_error(error) from error
    left_bytes, left_members = limits.unpacked_bytes - seen.size_bytes, limits.members - seen.members
    return replace(limits, unpacked_bytes=left_bytes, members=left_members)


def _write(packed: BinaryIO, into: Path, limits: ArchiveLimits) -> None:
    try:
        unpacking.unpack(packed, into, limits)
    except TooSlow as error:  # reading alone was quick enough
        raise _no_room(f"the archive cannot be unpacked within {limits.seconds:.0f} s") from error


def _unpack_error(error: OSError) -> JobError:
    sentence = f"the archive cannot be unpacked: {error.strerror or error}"
    return _refusal(sentence) if error.errno in _OF_THE_ARCHIVE else _no_room(sentence)


def _check_room(size_bytes: int, into: Path) -> None:
    free_bytes = max(0, shutil.disk_usage(into).free - _DISK_RESERVE_BYTES)
    if size_bytes > free_bytes:
        raise _no_room(f"it unpacks to {size_bytes} bytes, {free_bytes} are free")


def _refusal(detail: str) -> FailJob:
    return FailJob(Minor.FAILED_DOWNLOADING_INPUT, f"input sandbox: {detail}", blame=Blame.USER)


def _no_reader(detail: str) -> HandBack:
    return HandBack(Minor.FAILED_DOWNLOADING_INPUT, f"input sandbox: {detail}", blame=Blame.AGENT)


def _no_room(detail: str) -> HandBack:
    return HandBack(Minor.FAILED_DOWNLOADING_INPUT, f"input sandbox: {detail}", blame=Blame.SITE)
