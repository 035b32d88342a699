"""Files that many tasks have alike, on a web server: each lies there once, by what is in it, and is fetched from there.

FilesDir/SHA256    here; FilesURL/SHA256 for whoever fetches it. Never a credential; nothing here is removed by us.
"""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ce_backends.base import TaskSpec
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.options import Option, setting

_URL = re.compile(r"https://[A-Za-z0-9._~:/%\[\]-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFilesSettings:
    """Where they are."""

    files_dir: str = setting(
        Option(
            name="FilesDir",
            kind=str,
            default="",
            doc="Directory here that a web server shows: files that many tasks have alike, as the bundle of pilots, "
            "are put there once, named by their SHA-256, and do not travel with each task. Never a credential.",
        )
    )
    files_url: str = setting(
        Option(
            name="FilesURL",
            kind=str,
            default="",
            doc="That directory as it is seen from the CE and its nodes, https://…; expected with FilesDir.",
        )
    )


class ShownFiles:
    """See the module. One thread calls it.

    Args:
        folder: that the web server shows.
        url: of it.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url.rstrip("/")
        self._known: dict[tuple[Path, int, int], str] = {}  # names by path, size and time of change

    def of(self, tasks: Sequence[TaskSpec]) -> Mapping[Path, str]:
        """Show what tasks share; return the SHA-256 of each file.

        Raises:
            CEError: a file cannot be read.
            CEUnavailable: it cannot be written there.
        """
        sources = dict.fromkeys(source for task in tasks for source in task.shared)
        return {source: self._name(source) for source in sources}

    def url(self, sha256: str) -> str:
        """Return where one is fetched."""
        return f"{self._url}/{sha256}"

    def _name(self, source: Path) -> str:
        try:
            stat = source.stat()
            key = (source, stat.st_size, stat.st_mtime_ns)
            if key not in self._known:
                self._known[key] = self._shown(source)
        except OSError as error:
            raise CEError(f"input {source} cannot be copied: {error.strerror or error}") from error
        return self._known[key]

    def _shown(self, source: Path) -> str:
        with source.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()
            try:
                file.seek(0)
                self._put(file, name)
            except OSError as error:
                raise CEUnavailable(f"input {source} cannot be put into {self._folder}: {error}") from error
        return name

    def _put(self, content: IO[bytes], name: str) -> None:
        """Write a file so that nobody ever fetches a part of it."""
        aside = self._folder / f".{uuid.uuid4().hex}"
        try:
            with aside.open("xb") as file:
                shutil.copyfileobj(content, file)
                os.fchmod(file.fileno(), 0o644)
            aside.replace(self._folder / name)
        finally:
            aside.unlink(missing_ok=True)


def shown_files(settings: ShownFilesSettings) -> ShownFiles | None:
    """Return them; None where none are shown.

    Raises:
        CEMisconfigured: an option is wrong.
    """
    if bool(settings.files_dir) != bool(settings.files_url):
        raise CEMisconfigured("options FilesDir and FilesURL: expected both or none of them")
    if not settings.files_dir:
        return None
    if not _URL.fullmatch(settings.files_url):
        raise CEMisconfigured(f"option FilesURL is {settings.files_url!r}: expected https://HOST/PATH")
    return ShownFiles(Path(os.path.expandvars(settings.files_dir)), settings.files_url)
