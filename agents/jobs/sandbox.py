"""Packing and unpacking sandboxes, so that no archive can write or read outside its directory."""

import bz2
import io
import shutil
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from agents.errors import Blame, FailJob
from agents.jobs.job import Minor

_UNPACKED_LIMIT_BYTES = 4 * 10**9
_DISK_RESERVE_BYTES = 10 * 10**6  # DIRAC's Watchdog MinDiskSpace


def unpack(packed: bytes, into: Path) -> None:
    """Unpack an input sandbox.

    Raises:
        FailJob: it is no tar archive, a member leads outside, or the disk is too small.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:*") as archive:
            _check_size(archive, into)
            archive.extractall(into, filter="data")
    except tarfile.FilterError as error:
        raise _refusal(f"a member of the archive is not allowed: {error}", Blame.USER) from error
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise _refusal(f"the archive cannot be read: {error}", Blame.USER) from error
    except OSError as error:
        raise _refusal(f"the archive cannot be unpacked: {error}", Blame.SITE) from error


def _check_size(archive: tarfile.TarFile, into: Path) -> None:
    """Refuse an archive that would fill the disk, before anything is written."""
    size = sum(member.size for member in archive.getmembers())
    free = shutil.disk_usage(into).free - _DISK_RESERVE_BYTES
    if size > min(free, _UNPACKED_LIMIT_BYTES):
        raise _refusal(f"it unpacks to {size} bytes, {max(0, free)} are free", Blame.SITE)


def _refusal(detail: str, blame: Blame) -> FailJob:
    return FailJob(Minor.FAILED_DOWNLOADING_INPUT, f"input sandbox: {detail}", blame=blame)


def pack(directory: Path, patterns: Sequence[str]) -> tuple[bytes, list[str]]:
    """Pack the declared outputs that exist, flat as DIRAC does: base names only.

    Returns:
        The bz2 tar, empty when nothing matched; and the patterns that matched nothing.
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
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in sorted(chosen.items()):
            archive.add(path, arcname=name)
    return bz2.compress(buffer.getvalue(), 6), missing


def _matches(directory: Path, pattern: str) -> list[Path]:
    """Return the files and directories that a pattern names; symbolic links are not followed out."""
    root = directory.resolve()
    return sorted(path for path in directory.glob(pattern) if path.resolve().is_relative_to(root))
