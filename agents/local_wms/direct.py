"""The services without HTTP, over a database in memory: for unit tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.local_wms.database import open_database
from agents.local_wms.home import Home
from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import ADMIN, GROUPS, PILOT, SITE, USER, VO
from agents.local_wms.server import services_of
from agents.local_wms.services.base import Answer, Caller

JDL = 'Executable = "/bin/echo"; JobName = "j%j"; CPUTime = 300; OutputSandbox = {"std.out"};'
SLOT = {"Site": SITE, "CPUTime": 86400, "NumberOfProcessors": 2}
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def caller(username: str, group: str, *, is_limited: bool = False) -> Caller:
    """Return somebody whom no certificate had to prove."""
    return Caller(
        dn=f"/CN={username}", username=username, group=group, vo=VO, properties=GROUPS[group], is_limited=is_limited
    )


THE_USER, THE_ADMIN, THE_PILOT = (caller(person.username, person.groups[0]) for person in (USER, ADMIN, PILOT))
STRANGER = caller("stranger", USER.groups[0])


class DirectWms:
    """All services, with a clock that goes one second a look; `close` it at the end."""

    def __init__(self, folder: Path) -> None:
        self._now = START
        self.jobs = Jobs(open_database(":memory:"), self._tick)
        services = services_of(self.jobs, Home(folder), "https://localhost:1", "1")
        self.methods = {service.name.partition("/")[2]: service.methods() for service in services}

    def _tick(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def close(self) -> None:
        """Let go of the database."""
        self.jobs.database.close()

    def call(self, who: Caller, name: str, *arguments: Any) -> Any:
        """Call `Service.method`; the value alone comes back, a refusal is raised."""
        service, _, method = name.partition(".")
        answer = self.methods[service][method](who, list(arguments))
        return answer.value if isinstance(answer, Answer) else answer

    def submit(self, jdl: str = JDL) -> int:
        """Submit a job as the user."""
        job_id: int = self.call(THE_USER, "JobManager.submitJob", jdl)
        return job_id

    def running(self) -> int:
        """Submit a job, match it, report it as Running."""
        job_id = self.submit()
        self.call(THE_PILOT, "Matcher.requestJob", {**SLOT, "JobID": job_id})
        self.call(THE_PILOT, "JobStateUpdate.setJobStatus", job_id, "Running", "Application", "JobWrapper")
        return job_id

    def statuses(self, job_id: int) -> tuple[str, str]:
        """Return a job's status and minor status."""
        job = self.jobs.attributes([job_id])[job_id]
        return job["Status"], job["MinorStatus"]

    def status(self, job_id: int) -> str:
        """Return a job's status."""
        return self.statuses(job_id)[0]
