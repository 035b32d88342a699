"""The files of tasks at an ARC CE: laid out here, and what they left is fetched here once they have ended."""

import re
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from ce_backends.arc.rest import Rest, TooLarge
from ce_backends.arc.system import ID_FILE, LAUNCHER_ERRORS
from ce_backends.batch.launcher import RENEWED, RESULT, TASK, write_renewed
from ce_backends.batch.shown_files import ShownFiles
from ce_backends.batch.spool import End
from ce_backends.batch.staged_spool import SentSpool
from ce_backends.batch.transport import Local
from ce_backends.errors import CEError
from ce_backends.task.image import NO_LAUNCHER, ImageLauncher
from ce_backends.task.log_limit import Cap

_MOST_BYTES = 20_000  # of what ARC has to say
_TEXT_MB = 16
_JOB_ID = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


class ArcSpool(SentSpool):
    """See Spool.

    Args:
        rest: the CE.
        area: directory here.
        scratch: directory here for archives on their way.
        cap: how much is kept of the log output.
        launcher: see Spool.
        shown: where files that tasks share are shown, for the CE to fetch them; None for with each task.
    """

    renews_before_start_only = False  # looked at here, since ARC's word on a job's state may be a minute old

    unkept: Mapping[str, str] = {
        "look_leads_out_of_no_work_directory": "A-REX follows a payload's links, as far as the job's account may"
    }

    def __init__(
        self,
        rest: Rest,
        area: Path,
        scratch: Path,
        *,
        cap: Cap,
        launcher: ImageLauncher = NO_LAUNCHER,
        shown: ShownFiles | None = None,
    ) -> None:
        super().__init__(Local(), str(area), scratch, cap=cap, launcher=launcher, shown=shown)
        self._rest = rest
        self._tasks = area / "tasks"

    def ends(self, stamps: Collection[str]) -> dict[str, End]:
        """See Spool."""
        for stamp in stamps:
            self._bring(self._tasks / stamp)
        return super().ends(stamps)

    def peek(self, stamp: str, path: str, max_bytes: int) -> bytes:
        """See Spool. Nothing where a CE keeps session directories on its nodes while jobs run."""
        job_id = _job_id(self._tasks / stamp)
        if not job_id or any(part in ("", ".", "..") for part in path.split("/")):
            return b""
        return self._rest.tail(
            f"/jobs/{job_id}/session/task.{stamp}/{quote(path, errors='surrogateescape')}", max_bytes
        )

    def renew_credential(self, stamp: str, credential: Path) -> None:
        """See Spool. A-REX takes files for a job as long as it is there; ours looks for them when it begins.

        Raises:
            CEError: it has begun, or nobody knows.
        """
        job_id = _job_id(self._tasks / stamp)
        if not job_id:
            raise CEError(f"task {stamp} has no job at the CE")
        session = f"/jobs/{job_id}/session"
        with tempfile.NamedTemporaryFile(dir=self._scratch) as file:
            write_renewed(Path(file.name), credential)
            self._rest.upload(f"{session}/{RENEWED}", Path(file.name))
        if not self._rest.has(f"{session}/{TASK}"):  # the first thing that ours does is to unpack and remove it
            raise CEError(f"task {stamp} has begun, with the credential that it had")

    def remove(self, stamps: Collection[str], jobs: Collection[str]) -> None:
        """See Spool."""
        known = [job_id for stamp in stamps if (job_id := _job_id(self._tasks / stamp))]
        if known:
            self._rest.act("clean", known)
        super().remove(stamps, jobs)

    def _bring(self, place: Path) -> None:
        """Fetch the result of a task, or what ARC says about a task that has none."""
        job_id = _job_id(place)
        if not job_id or (place / "exit_code").exists() or (place / RESULT).exists():
            return
        session = f"/jobs/{job_id}/session"
        said = b""
        try:
            if self._rest.download(f"{session}/{RESULT}", place / "coming"):
                (place / "coming").replace(place / RESULT)
                return
        except TooLarge as error:  # it stays so: the other tasks must not wait for it
            (place / "coming").unlink()
            said = f"{error}\n".encode()
        for path in (f"{session}/{LAUNCHER_ERRORS}", f"/jobs/{job_id}/diagnose/errors"):
            said += self._text(path, place)
        (place / "stderr").write_bytes(said)

    def _text(self, path: str, place: Path) -> bytes:
        """Return the end of a text at the CE, of one that is too large some part; empty if there is none."""
        with suppress(TooLarge):
            if not self._rest.download(path, place / "coming", most_mb=_TEXT_MB):
                return b""
        text = (place / "coming").read_bytes()[-_MOST_BYTES:]
        (place / "coming").unlink()
        return text


def _job_id(place: Path) -> str:
    """Return the id of a task's job, empty if it has none."""
    try:
        text = (place / ID_FILE).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _JOB_ID.fullmatch(text) else ""
