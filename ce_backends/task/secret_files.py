"""A task's secret files: a directory of their own beside its work directory, where no output pattern leads."""

import os
import stat
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.errors import CEError

PLACE = "secrets"
SECRETS = "GRIDPILOT_SECRETS"
_MOST_FILES = 100
_MOST_BYTES = 1_000_000  # of all together: they are keys and tokens


def secrets_of(spec: TaskSpec) -> dict[str, bytes]:
    """Return the content of a task's secrets by the names that they have there.

    Raises:
        CEError: one cannot be read or is no plain file, two have one name, or they are too many or too large.
    """
    if len(spec.secrets) > _MOST_FILES:
        raise CEError(f"{len(spec.secrets)} secrets are too many: a task has {_MOST_FILES} at most")
    found: dict[str, bytes] = {}
    left = _MOST_BYTES
    for source in spec.secrets:
        if source.name in found:
            raise CEError(f"two secrets are called {source.name}")
        found[source.name] = _read(source, left)
        left -= len(found[source.name])
    return found


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _read(source: Path, most: int) -> bytes:
    try:
        with open(source, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CEError(f"secret {source} is no plain file")
            content = file.read(most + 1)
    except OSError as error:
        raise CEError(f"secret {source} cannot be copied: {error.strerror}") from error
    if len(content) > most:
        raise CEError(f"secret {source} is too large: all of a task have {_MOST_BYTES} bytes at most")
    return content


def write_secrets(spec: TaskSpec, task_dir: Path) -> None:
    """Put a task's secrets into its directory, so that at no moment another user can read one.

    Raises:
        CEError: see `secrets_of`.
        OSError: they cannot be written.
    """
    if not spec.secrets:
        return
    place = task_dir / PLACE
    place.mkdir(0o700)
    for name, content in secrets_of(spec).items():
        fd = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
