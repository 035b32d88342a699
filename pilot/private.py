"""Files that must be ours alone: credentials are read, and folders made, here only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pilot.errors import CredentialError, UsageError

MAX_SECRET_BYTES = 1_000_000
OTHERS_MAY_WRITE = 0o022


def read_secret(path: Path, *, forbidden: int = 0o077) -> str:
    """Return the text of a credential; a link to it has to be ours too.

    Raises:
        CredentialError: it cannot be read, is no text (UTF-8), is too large, belongs to somebody else, or its mode has
            a forbidden bit.
    """
    try:
        link, fd = path.lstat(), os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            _check(path, link, os.fstat(fd), forbidden)
            return file.read(MAX_SECRET_BYTES).decode("utf-8")
    except FileNotFoundError as error:
        raise CredentialError(f"{path}: there is no such credential; set X509_USER_PROXY, or use --cert") from error
    except OSError as error:
        raise CredentialError(f"{path}: the credential is not readable: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CredentialError(f"{path}: the credential is not readable: it is not text") from error


def _check(path: Path, link: os.stat_result, found: os.stat_result, forbidden: int) -> None:
    mode = stat.S_IMODE(found.st_mode)
    for owner in (link.st_uid, found.st_uid):
        if owner not in (os.geteuid(), 0):
            raise CredentialError(f"{path}: it belongs to another account (uid {owner}); expected our own: chown it")
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_SECRET_BYTES:
        raise CredentialError(f"{path}: expected a file of at most {MAX_SECRET_BYTES} bytes")
    if mode & forbidden:
        raise CredentialError(
            f"{path}: its mode {mode:04o} lets others read the private key; expected 0600 or stricter"
        )


def replace(path: Path, text: str) -> None:
    """Write a file that only we may read, whole or not at all.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)


def folder(path: Path) -> None:
    """Make a folder in which only we write; from one of our own the right of others to write is taken.

    Raises:
        UsageError: it belongs to another account, or is shared on purpose (/tmp).
        OSError: it cannot be made or changed.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found, us = path.stat(), os.geteuid()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (us, 0):
        raise UsageError(f"{path}: belongs to another account (uid {found.st_uid}); give --work-dir one of our own")
    if mode & OTHERS_MAY_WRITE:
        if mode & stat.S_ISVTX or found.st_uid != us:
            raise UsageError(f"{path}: others may write there (mode {mode:04o}); give --work-dir a folder of our own")
        path.chmod(mode & ~OTHERS_MAY_WRITE)
