"""Packing and unpacking sandboxes, so that no archive can write or read outside its directory."""

import bz2
import errno
import io
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from agents.errors import AgentError, Blame, FailJob, HandBack, JobError
from agents.jobs.job import Minor
from agents.jobs.payload import plain_pattern
from ce_backends import unpacking
from ce_backends.capped_output import Cap
from ce_backends.foreign_archive import ArchiveLimits, BadArchive
from ce_backends.foreign_names import BadName

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


class TooLarge(AgentError):
    """The packed files exceed their limit."""


def unpack(packed: bytes, into: Path) -> None:
    """Unpack an input sandbox. Before anything is written all of it has been read once, and judged.

    Whatever the archive holds, nothing outside of the directory is touched: no name and no link leads out of it, and
    files are made by directory descriptors, through no link.

    Raises:
        FailJob: it is no tar archive, more than its limits allow, or a member leads outside.
        HandBack: this node cannot hold it.
    """
    try:
        _check_room(unpacking.look_through(io.BytesIO(packed), LIMITS), into)
        unpacking.unpack(io.BytesIO(packed), into, LIMITS)
    except BadName as error:
        raise _refusal(f"a member of the archive is not allowed: {error}") from error
    except BadArchive as error:
        raise _refusal(str(error)) from error
    except OSError as error:
        raise _unpack_error(error) from error


def _unpack_error(error: OSError) -> JobError:
    sentence = f"the archive cannot be unpacked: {error.strerror or error}"
    return _refusal(sentence) if error.errno in _OF_THE_ARCHIVE else _no_room(sentence)


def _check_room(size_bytes: int, into: Path) -> None:
    free_bytes = max(0, shutil.disk_usage(into).free - _DISK_RESERVE_BYTES)
    if size_bytes > free_bytes:
        raise _no_room(f"it unpacks to {size_bytes} bytes, {free_bytes} are free")


def _refusal(detail: str) -> FailJob:
    return FailJob(Minor.FAILED_DOWNLOADING_INPUT, f"input sandbox: {detail}", blame=Blame.USER)


def _no_room(detail: str) -> HandBack:
    return HandBack(Minor.FAILED_DOWNLOADING_INPUT, f"input sandbox: {detail}", blame=Blame.SITE)


class _Packed:
    """Compresses what a tar archive writes, and keeps no more of it than the limit."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._compressor = bz2.BZ2Compressor(6)
        self._packed = bytearray()
        self._written_bytes = 0

    def write(self, content: bytes) -> int:
        self._keep(self._compressor.compress(content))
        self._written_bytes += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written_bytes

    def finish(self) -> bytes:
        self._keep(self._compressor.flush())
        return bytes(self._packed)

    def _keep(self, packed: bytes) -> None:
        self._packed += packed
        if len(self._packed) > self._limit_bytes:
            raise TooLarge(f"the output sandbox is too large: packed it has more than {self._limit_bytes} bytes")


def pack(directory: Path, patterns: Sequence[str], limit_bytes: int) -> tuple[bytes, list[str]]:
    """Pack the declared outputs that exist, flat as DIRAC does: base names only.

    Returns:
        The bz2 tar, empty when nothing matched; and the patterns that matched nothing.

    Raises:
        TooLarge: packed they exceed the limit; memory never holds more than that.
    """
    chosen: dict[str, Path] = {}
    missing = []
    for pattern in patterns:
        found = _matches(directory, pattern)
        if not found:
            missing.append(pattern)
        chosen |= {path.name: path for path in found}
    if not chosen:
        return b"", missing
    packed = _Packed(limit_bytes)
    with tarfile.open(fileobj=packed, mode="w") as archive:  # type: ignore[call-overload] # it writes and tells
        for name, path in sorted(chosen.items()):
            archive.add(path, arcname=name)
    return packed.finish(), missing


def shorten(log_file: Path, limit_bytes: int) -> None:
    """Leave head and tail of a file, and a line that tells how much was left out."""
    aside = log_file.with_name(log_file.name + ".short")
    with log_file.open("rb") as source, aside.open("wb") as target:
        Cap(limit_bytes, mark="at least {} bytes left out").copy(source, target)
    aside.replace(log_file)


def _matches(directory: Path, pattern: str) -> list[Path]:
    """Return the files and directories that a pattern names; symbolic links are not followed out."""
    root = directory.resolve()
    return sorted(path for path in directory.glob(plain_pattern(pattern)) if path.resolve().is_relative_to(root))
