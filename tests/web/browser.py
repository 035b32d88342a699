"""A real Chromium without a window, told what to do by the DevTools protocol over two pipes."""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 120.0  # for one answer
_READ_BYTES = 1 << 16
_FREE_FDS = 10  # above those that a browser expects its pipes at
_THEIR_IN, _THEIR_OUT = 3, 4


class BrowserError(Exception):
    """The browser ended, or did not do what it was told."""


class Pipes:
    """JSON messages to the browser and back, each ended by a zero byte."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest = b""
        self._numbers = itertools.count(1)
        self.events: list[Mapping[str, Any]] = []

    def call(self, method: str, session: str = "", **parameters: object) -> Mapping[str, Any]:
        """Return the result of a method.

        Raises:
            BrowserError: it failed, or there was no answer.
        """
        number = next(self._numbers)
        asked = {"id": number, "method": method, "params": parameters, **({"sessionId": session} if session else {})}
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while (told := self._next()).get("id") != number:
            self.events.append(told)
        if "error" in told:
            raise BrowserError(f"{method}: {told['error']}")
        result: Mapping[str, Any] = told["result"]
        return result

    def wait(self, method: str, session: str) -> None:
        """Wait for an event."""
        while True:
            for place, event in enumerate(self.events):
                if (event.get("method"), event.get("sessionId")) == (method, session):
                    del self.events[place]
                    return
            self.events.append(self._next())

    def _next(self) -> Mapping[str, Any]:
        ends = time.monotonic() + PATIENCE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                raise BrowserError(f"no answer within {PATIENCE_S:g} s")
            piece = os.read(self._from, _READ_BYTES)
            if not piece:
                raise BrowserError("the browser ended")
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        told: Mapping[str, Any] = json.loads(message)
        return told


@dataclass(frozen=True)
class Tab:
    """One page in a window of its own size."""

    pipes: Pipes
    session: str

    def call(self, method: str, **parameters: object) -> Mapping[str, Any]:
        return self.pipes.call(method, self.session, **parameters)

    def look(self, width: int, *, dark: bool = False, paper: bool = False, height: int = 900) -> None:
        """Show the page in a window of this width, to people who like it dark, or as it is printed."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="print" if paper else "screen", features=[scheme])

    def go(self, url: str) -> None:
        """Open a page, and return when it is loaded."""
        self.pipes.events.clear()
        told = self.call("Page.navigate", url=url)
        if told.get("errorText"):
            raise BrowserError(f"{url}: {told['errorText']}")
        self.pipes.wait("Page.loadEventFired", self.session)

    def value(self, script: str) -> Any:
        """Return what an expression of JavaScript is; of a promise, what it comes to."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise BrowserError(f"{told['exceptionDetails'].get('exception', {}).get('description')}: {script[:80]}")
        return told["result"].get("value")

    def until(self, script: str) -> Any:
        """Return what an expression is as soon as that is something."""
        ends = time.monotonic() + PATIENCE_S
        while not (found := self.value(script)):
            if time.monotonic() > ends:
                raise BrowserError(f"not within {PATIENCE_S:g} s: {script}")
            time.sleep(0.05)
        return found

    def printed(self, file: Path) -> Path:
        """Print the page on the paper that its own style asks for, as people do: without backgrounds."""
        self.call("Emulation.setEmulatedMedia", media="", features=[])
        told = self.call("Page.printToPDF", preferCSSPageSize=True)
        file.write_bytes(base64.b64decode(told["data"]))
        return file

    def shot(self, file: Path) -> Path:
        """Take a picture of the whole page."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
        return file


class Browser:
    """One process; see `running`."""

    def __init__(self, pipes: Pipes) -> None:
        self._pipes = pipes

    @contextlib.contextmanager
    def tab(self) -> Iterator[Tab]:
        """Open a page that shares nothing with another one."""
        context = self._pipes.call("Target.createBrowserContext")["browserContextId"]
        target = self._pipes.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self._pipes.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self._pipes, session)
        tab.call("Page.enable")
        tab.call("Runtime.enable")
        try:
            yield tab
        finally:
            self._pipes.call("Target.disposeBrowserContext", browserContextId=context)


def found() -> str:
    """Return the browser.

    Raises:
        BrowserError: there is none.
    """
    name = next(filter(None, map(shutil.which, NAMES)), None)
    if name is None:
        raise BrowserError("no Chromium here: tests/web/set_up.sh installs it")
    return name


@contextlib.contextmanager
def running(profile: Path) -> Iterator[Browser]:
    """Run a browser whose files are in this folder."""
    argv = [found(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    argv += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "--no-first-run", "about:blank"]
    theirs_in, ours_out = _pipe()
    ours_in, theirs_out = _pipe()
    log = (profile.parent / f"{profile.name}.log").open("wb")

    def place() -> None:
        os.dup2(theirs_in, _THEIR_IN)
        os.dup2(theirs_out, _THEIR_OUT)

    process = subprocess.Popen(
        argv,
        pass_fds=(theirs_in, theirs_out, _THEIR_IN, _THEIR_OUT),
        preexec_fn=place,  # noqa: PLW1509 - two system calls and no lock
        stdout=log,
        stderr=log,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(Pipes(ours_out, ours_in))
    finally:
        process.kill()
        process.wait()
        for each in (ours_out, ours_in):
            os.close(each)
        log.close()


def _pipe() -> tuple[int, int]:
    """Return both ends of a pipe, out of the way of the numbers that the browser expects."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FREE_FDS) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]
