"""The pages over HTTPS: for those who show one of the certificates; they are read, and nothing is changed by them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from tornado.web import HTTPError, RequestHandler

from agents.local_wms.credentials import Doorman
from agents.local_wms.jobs import Jobs
from agents.local_wms.services.base import Caller
from agents.local_wms.services.pilot_logging import PilotLogging
from agents.local_wms.services.sandbox_store import SandboxStore
from agents.local_wms.web import documents
from agents.local_wms.web.listing import Listing, asked_in
from agents.local_wms.web.one_job import OneJob
from agents.pages.parts import Page

# What a payload has written is saved or read as text: no browser makes a page of it.
_OF_STRANGERS = "default-src 'none'; sandbox; frame-ancestors 'none'"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_JOB, _STAMP = r"([1-9][0-9]{0,17})", r"([0-9a-f-]{32,36})"
PATHS = re.compile(rf"(?:|jobs\.json|job/{_JOB}(?:\.json|/sandbox/[0-9]{{1,4}})?|pilot/{_STAMP}/log)")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the pages are made from."""

    listing: Listing
    one_job: OneJob
    doorman: Doorman


class Handler(RequestHandler):
    """One page, or what it asks for; 401 for whoever is not in the Registry."""

    def initialize(self, shown: Shown, answer: "Callable[[Handler, Caller, Sequence[str]], None]") -> None:
        """Take what the route holds (Tornado calls this)."""
        self.shown = shown
        self._answer = answer

    def set_default_headers(self) -> None:
        """Let no answer be more than it is."""
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("Content-Security-Policy", _OF_STRANGERS)

    def get(self, *path: str) -> None:
        """Answer."""
        caller = self.shown.doorman.identify(getattr(self.request.connection, "stream", None), "")
        if caller is None or not caller.username:
            raise HTTPError(401)
        self._answer(self, caller, path)

    def head(self, *path: str) -> None:
        """Answer with the head alone, which is what Tornado sends of it."""
        self.get(*path)

    def give(self, page: Page) -> None:
        """Write a document."""
        self.set_header("Content-Security-Policy", f"{page.policy}; frame-ancestors 'none'")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(page.text())

    def query(self) -> dict[str, str]:
        """Return what stands behind the path."""
        return {name: self.get_query_argument(name, strip=False) for name in self.request.query_arguments}


def _jobs(handler: Handler, _caller: Caller, _path: Sequence[str]) -> None:
    handler.give(documents.jobs())


def _listed(handler: Handler, caller: Caller, _path: Sequence[str]) -> None:
    try:
        asked = asked_in(handler.query())
    except ValueError as error:
        raise HTTPError(400, "%s", error) from error
    handler.set_header("Content-Type", "application/json")
    handler.write(handler.shown.listing.as_json(caller, asked))


def _job(handler: Handler, caller: Caller, path: Sequence[str]) -> None:
    _known(handler, caller, path[0])
    handler.give(documents.job(int(path[0])))


def _told(handler: Handler, caller: Caller, path: Sequence[str]) -> None:
    handler.write(_known(handler, caller, path[0]))


def _known(handler: Handler, caller: Caller, job_id: str) -> dict[str, Any]:
    return handler.shown.one_job.told(caller, int(job_id)) or _none()


def _sandbox(handler: Handler, caller: Caller, path: Sequence[str]) -> None:
    name, file = handler.shown.one_job.sandbox(caller, int(path[0]), int(path[1])) or _none()
    handler.set_header("Content-Type", "application/octet-stream")
    handler.set_header("Content-Disposition", f'attachment; filename="{name}"')
    handler.write(_content(file))


def _log(handler: Handler, caller: Caller, path: Sequence[str]) -> None:
    file = handler.shown.one_job.log(caller, path[0]) or _none()
    handler.set_header("Content-Type", "text/plain; charset=utf-8")
    handler.write(_content(file))


def _content(file: Path) -> bytes:
    """Return a file that the server itself has written, and that it has kept within a limit."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise HTTPError(404) from error


def _none() -> NoReturn:
    raise HTTPError(404)


def routes(jobs: Jobs, sandboxes: SandboxStore, logs: PilotLogging, doorman: Doorman) -> list[Any]:
    """Return what Tornado is to route to the pages."""
    shown = Shown(Listing(jobs.database, logs), OneJob(jobs, sandboxes, logs), doorman)
    answers = (
        ("/", _jobs),
        (r"/jobs\.json", _listed),
        (f"/job/{_JOB}", _job),
        (rf"/job/{_JOB}\.json", _told),
        (f"/job/{_JOB}/sandbox/([0-9]{{1,4}})", _sandbox),
        (f"/pilot/{_STAMP}/log", _log),
    )
    return [(path, Handler, {"shown": shown, "answer": answer}) for path, answer in answers]
