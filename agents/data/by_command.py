"""Files by a program of the node, in a process that is killed where nothing moves: `xrdcp`, `gfal-copy`."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from agents.credentials.identity import Identity
from agents.data import checksum
from agents.data.errors import Damaged, Exists, NoSpaceHere, NotHere, TransferError, Transient, Unsupported
from agents.data.following import Following
from agents.data.local_file import Incoming, Progress
from agents.data.tools import Tool
from agents.data.way import Content, Watch
from ce_backends.linux import command
from ce_backends.untrusted import names

_QUESTION_S = 120.0  # for one about a file
_LONGEST_S = 10.0**7  # for a copy: the watch ends it
_MOST_URL_CHARACTERS = 2000
_SHOWN = 200
_OURS = {
    "XRD_CONNECTIONWINDOW": "20",
    "XRD_CONNECTIONRETRY": "2",
    "XRD_STREAMTIMEOUT": "60",
    "XrdSecPROTOCOL": "gsi",  # ztn would look for a token by itself, and find the pilot's
    "OPENSSL_ALLOW_PROXY_CERTS": "1",
    "LC_ALL": "C",
}
_SECRET = ("X509_USER_CERT", "X509_USER_KEY", "BEARER_TOKEN", "BEARER_TOKEN_FILE", "XDG_RUNTIME_DIR", "KRB5CCNAME")
"""What names a credential of the pilot's own."""


class ByCommand:
    """A program that copies, with its neighbours that look. Any thread may call; each call runs one child at a time.

    Args:
        owner: whose proxy is shown.
        tool: the program.
        environ: the node's environment.
    """

    def __init__(self, owner: Identity, tool: Tool, environ: Mapping[str, str] = os.environ) -> None:
        self._tool = tool
        plain = {name: text for name, text in environ.items() if name not in _SECRET}
        proxy = str(owner.certificate)
        self._env = {**plain, **_OURS, "X509_USER_PROXY": proxy, "X509_CERT_DIR": str(owner.ca)}

    def get(self, url: str, into: Path, content: Content, watch: Watch) -> None:
        """See Way."""
        _check_url(url)
        while True:
            begun_bytes = _size_of(into)
            if (begun_bytes < content.size_bytes or not begun_bytes) and self._fetch(url, into, content, watch):
                return
            with Incoming(into, content, watch) as incoming:
                fault = incoming.fault()
            if not fault:
                return
            into.unlink(missing_ok=True)
            if not begun_bytes:
                raise Damaged(f"{into.name}: {fault}")

    def put(self, path: Path, url: str, content: Content, watch: Watch) -> None:
        """See Way. The checksum is the server's, or size alone where it has none."""
        _check_url(url)
        if found := self._look_at(url, watch):
            raise Exists(
                f"{url}: there is a file of that name already", size_bytes=found.size_bytes, adler32=found.adler32
            )
        if _size_of(path) != content.size_bytes:
            raise _changed(path)
        try:
            is_compared = self._sent(path, url, content, watch)
            Progress(watch).at_last(content.size_bytes)
            if not is_compared:
                self._compare(path, url, content, watch)
        except Exists:
            raise
        except TransferError:
            self._clear(url)
            raise

    def _sent(self, path: Path, url: str, content: Content, watch: Watch) -> bool:
        """Upload a file; return whether the program has compared what is there with what should be."""
        argv = self._tool.put(str(path), url, content.adler32)
        try:
            self._run(argv, url, watch, _read_by)
        except Damaged:  # of a server without checksums it says the same
            return False
        return self._tool.has_compared and content.adler32 is not None

    def _compare(self, path: Path, url: str, content: Content, watch: Watch) -> None:
        if content.adler32 not in (None, checksum.adler32_of(path)):
            raise _changed(path)
        found = self._look_at(url, watch)
        if found is None:
            raise Transient(f"{url}: it was uploaded, and is not there")
        if found.size_bytes != content.size_bytes or found.adler32 not in (None, content.adler32):
            raise Transient(f"{url}: what is there is not what was sent: {found.size_bytes} bytes, or a checksum")

    def take_away(self, path: Path, url: str, may: Callable[[Content], bool], watch: Watch) -> bool:  # noqa: ARG002
        """See Way; nothing is put beside."""
        _check_url(url)
        found = self._look_at(url, watch)
        if found is None:
            return True
        if not may(found):
            return False
        self._ask(self._tool.remove(url), url, watch)
        return True

    def _fetch(self, url: str, into: Path, content: Content, watch: Watch) -> bool:
        """Download a file; return whether it was seen to be the right one while it came."""
        goes_on = self._tool.has_resume and _size_of(into) > 0
        if not goes_on:
            into.unlink(missing_ok=True)

        def arrived(_pid: int) -> int:
            size_bytes = _size_of(into)
            if size_bytes > content.size_bytes:
                raise Damaged(f"{into.name}: more came than the {content.size_bytes} bytes of the catalogue")
            return size_bytes

        with Following(into) as seen:
            self._run(self._tool.get(url, str(into), goes_on), url, watch, arrived)
        return seen.size_bytes == content.size_bytes and content.adler32 in (None, seen.adler32)

    def _look_at(self, url: str, watch: Watch) -> Content | None:
        """Return what lies there, None when there is nothing."""
        try:
            said = self._ask(self._tool.stat(url), url, watch)
        except NotHere:
            return None
        if self._tool.unfinished.search(said):
            raise Transient(f"{url}: an upload of that name goes on, or broke off; its server will remove it")
        size_bytes = self._tool.size_in(said)
        if size_bytes is None:
            raise Transient(f"{url}: {self._tool.stat(url)[0]} does not tell its size")
        adler32 = None
        with suppress(TransferError):  # not every server has checksums
            adler32 = self._tool.adler32_in(self._ask(self._tool.sum(url), url, watch))
        return Content(size_bytes=size_bytes, adler32=adler32)

    def _clear(self, url: str) -> None:
        """Take away what was written; that it cannot be is no further error."""
        with suppress(TransferError):
            self._ask(self._tool.remove(url), url, Watch())

    def _ask(self, argv: list[str], url: str, watch: Watch) -> str:
        return self._run(argv, url, watch, None, timeout_s=_QUESTION_S)

    def _run(
        self,
        argv: list[str],
        url: str,
        watch: Watch,
        moved: Callable[[int], int] | None,
        *,
        timeout_s: float = _LONGEST_S,
    ) -> str:
        """Run a program; return what it said. It is killed where `moved` tells the same for too long."""
        look = _Look(watch, moved, url)
        around = command.Around(env=self._env, is_session=True)
        try:
            said = command.run(argv, timeout_s=timeout_s, around=around, look=look)
        except OSError as error:
            raise Unsupported(f"{argv[0]}: {error.strerror}") from error
        text = (said.stdout + said.stderr).decode("utf-8", "replace")
        if said.exit_code is None:
            raise Transient(f"{url}: {argv[0]} did not end in {timeout_s:.0f} s{said.flood and ', ' + said.flood}")
        if said.exit_code:
            raise self._tool.error(text)(f"{url}: {argv[0]}: {_last_words(said.stderr) or f'exit {said.exit_code}'}")
        return text


class _Look:
    """Looks whether bytes move, twice a second."""

    def __init__(self, watch: Watch, moved: Callable[[int], int] | None, url: str) -> None:
        self._watch = watch
        self._moved = moved
        self._url = url
        self._progress = Progress(watch)
        self._last = -1
        self._last_s = time.monotonic()

    def __call__(self, pid: int) -> None:
        self._watch.check()
        if self._moved is None:
            return
        now, now_s = self._moved(pid), time.monotonic()
        if now != self._last:
            self._last, self._last_s = now, now_s
            self._progress.at(max(now, 0))
        elif now_s - self._last_s >= self._watch.silence_s:
            raise Transient(f"{self._url}: no byte moved for {self._watch.silence_s:.0f} s")


def _read_by(pid: int) -> int:
    """Return the bytes that a process has read, -1 where the kernel does not tell."""
    with suppress(OSError, ValueError):
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).split()[1])
    return -1


def _changed(path: Path) -> NoSpaceHere:
    return NoSpaceHere(f"{path.name} has changed since it was measured: it is not the file any more")


def _last_words(stderr: bytes) -> str:
    text = " ".join(stderr.decode("utf-8", "replace").split())
    return "".join(filter(str.isprintable, text[-_SHOWN:]))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _check_url(url: str) -> None:
    """Refuse what a program could take for something else than a URL, or for more than one.

    Raises:
        Unsupported: it is such.
    """
    odd = not url.isascii() or any(not letter.isprintable() or letter in ' ?#"' for letter in url)
    if odd or url.startswith("-") or "://" not in url or len(url) > _MOST_URL_CHARACTERS:
        raise Unsupported(f"{names.shown(url)}: no program is given such a URL")
