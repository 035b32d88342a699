"""Files that must be ours alone: credentials are read, and folders made, here only."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agents.errors import ConfigurationError, CredentialError

MAX_SECRET_BYTES = 1_000_000
_OTHERS_MAY_WRITE = 0o022
_OTHERS_MAY = 0o077


def read_secret(path: Path, noun: str) -> str:
    """Return the text of a credential.

    Args:
        path: of it; a link has to be ours too.
        noun: what it is, for sentences.

    Raises:
        CredentialError: it cannot be read, is no small text file, belongs to somebody else, or is open to others.
    """
    try:
        link, fd = path.lstat(), os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            _check(path, noun, link, os.fstat(fd))
            return file.read(MAX_SECRET_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise CredentialError(f"{path}: the {noun} cannot be read: {reason}") from error


def close(paths: Iterable[Path]) -> None:
    """Take from files and folders of ours the rights of others; what is not there is left out.

    Raises:
        ConfigurationError: one belongs to another account.
    """
    for path in paths:
        with suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
                raise ConfigurationError(f"{path}: is a link, or of another account (uid {found.st_uid}): remove it")
            if found.st_mode & _OTHERS_MAY:
                path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS_MAY)


def is_ours_alone(directory: Path) -> bool:
    """Tell whether a directory, not a link to one, is ours and only we may write in it: what lies there is believed."""
    found = directory.lstat()
    is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return is_own and not found.st_mode & _OTHERS_MAY_WRITE


def _check(path: Path, noun: str, link: os.stat_result, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    for owner in (link.st_uid, found.st_uid):
        if owner not in (os.geteuid(), 0):
            raise CredentialError(
                f"{path}: the {noun} belongs to another account (uid {owner}); expected a file of our own: "
                "remove it, or chown it"
            )
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_SECRET_BYTES:
        raise CredentialError(f"{path}: expected a {noun} of at most {MAX_SECRET_BYTES} bytes")
    if mode & _OTHERS_MAY:
        raise CredentialError(f"{path}: others can read the {noun} (mode {mode:04o}); expected 0600: chmod 600 it")


def folder(path: Path, *, is_closed: bool = False) -> None:
    """Make a folder in which only we write; from one of our own the right of others to write is taken.

    Args:
        path: of it.
        is_closed: nor may others read in it.

    Raises:
        ConfigurationError: it belongs to another account, or is shared on purpose (/tmp).
        OSError: it cannot be made or changed.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found, us = path.stat(), os.geteuid()
    mode = stat.S_IMODE(found.st_mode)
    forbidden = _OTHERS_MAY if is_closed else _OTHERS_MAY_WRITE
    if found.st_uid not in (us, 0):
        raise ConfigurationError(f"{path}: belongs to another account (uid {found.st_uid}); give a folder of our own")
    if mode & forbidden:
        if mode & stat.S_ISVTX or found.st_uid != us:
            raise ConfigurationError(f"{path}: is open to others (mode {mode:04o}); give a folder of our own")
        path.chmod(mode & ~forbidden)


def replace(path: Path, text: str) -> None:
    """Write a credential so that nobody else can read it and nobody ever sees a part of it.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
