"""What the WMS is told about a job, in DIRAC's words and widths. Secrets in what a payload wrote are not passed on."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from agents.clock import SteadyClock
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Job, JobStatus, Minor, Outcome
from agents.jobs.ledger import Report, ReportKind
from agents.jobs.moved import Moved
from agents.redaction import redacted

# Column widths of DIRAC's JobDB; a longer text is an SQL error there.
_MINOR_STATUS_WIDTH, _APPLICATION_STATUS_WIDTH = 128, 255
RUNNER_PARAMETER = "WorkflowRunner"  # job parameter
_MILLISECOND = timedelta(milliseconds=1)
DATA_OPERATION = "DataOperation"  # DIRAC's type of such accounts
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Moments:
    """UTC moments that never repeat and never go back: whatever happens to the clocks, over restarts too.

    `setJobStatusBulk` takes the moments as the keys of a dictionary, and the server orders by them; it keeps whole
    milliseconds only, rounded (LoggingInfo.StatusTimeOrder), so that anything finer would swap or lose reports.

    Args:
        now: this node's time, which nobody may set.
        servers_ahead: how far the servers' clock is ahead of it, as far as that is proved.
        servers_ahead_at_most: how far it may be.
        after: the last moment that was used in this work directory, None when there is none.
    """

    def __init__(
        self,
        now: Callable[[], datetime] | None = None,
        servers_ahead: Callable[[], timedelta] = timedelta,
        servers_ahead_at_most: Callable[[], timedelta] = timedelta,
        after: datetime | None = None,
    ) -> None:
        self._now = now or SteadyClock().utc
        self._servers_ahead = servers_ahead
        self._servers_ahead_at_most = servers_ahead_at_most
        self._last = _whole(after or _LONG_AGO)

    def next(self) -> datetime:
        """Return the present moment by the servers' clock, in milliseconds, at least one after the one before."""
        self._last = max(_whole(self._now() + self._servers_ahead()), self._last + _MILLISECOND)
        return self._last

    def skip_what_servers_stamped(self) -> None:
        """Let no moment from now on be before anything that the servers have stamped until now."""
        self._last = max(self._last, _whole(self._now() + self._servers_ahead_at_most()))


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def written(moment: datetime) -> str:
    """Return a moment as DIRAC writes it: UTC, microseconds, no zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


class Reports:
    """Makes the reports of one agent; each status says who speaks, as DIRAC's own agent and wrapper do."""

    def __init__(self, site: str, moments: Moments) -> None:
        self._site = site
        self._moments = moments

    def received(self, job: Job) -> Report:
        """Return the first report of a job: not older than its match, whenever the server has stamped that."""
        self._moments.skip_what_servers_stamped()
        return self.by_agent(job)

    def by_agent(self, job: Job, *, application_status: str = "") -> Report:
        """Return the job's present status, spoken by the agent."""
        return self._status(job, f"JobAgent@{self._site}", application_status)

    def by_wrapper(self, job: Job, *, application_status: str = "") -> Report:
        """Return the job's present status, spoken as DIRAC's job wrapper would."""
        return self._status(job, f"JobWrapper@{self._site}", application_status)

    def beginning(self, job: Job, description: JobDescription, told: Mapping[str, object]) -> tuple[Job, list[Report]]:
        """Return a job that was granted its processors in its next status, and what is said on the way there.

        Args:
            job: matched.
            description: of it.
            told: parameters from its start on.
        """
        job = job.to(JobStatus.MATCHED, Minor.SUBMITTING)
        said = [self.by_agent(job)]
        job = job.to(JobStatus.RUNNING, Minor.INITIALIZATION)
        said += [self.by_wrapper(job), self.parameters(job, told)]
        if description.input_sandbox:
            job = job.to(JobStatus.RUNNING, Minor.DOWNLOADING_INPUT)
            said.append(self.by_wrapper(job))
        return job, said

    def chosen(self, job: Job, runner: str) -> list[Report]:
        """Return what is told of the program that runs a job's workflow; nothing for a job that has none."""
        return [self.parameters(job, {RUNNER_PARAMETER: runner})] if runner else []

    def completing(self, job: Job, end: Outcome, description: JobDescription) -> tuple[Job, list[Report]]:
        """Return a job whose payload has ended by itself in its next status, and what is said on the way there."""
        said = []
        if end.status in (JobStatus.DONE, JobStatus.FAILED):
            job = job.to(JobStatus.COMPLETING, end.minor_status)
            said.append(self.by_wrapper(job, application_status=end.application_status))
        if end.status is JobStatus.DONE and description.output_sandbox:
            job = job.to(JobStatus.COMPLETING, Minor.UPLOADING_OUTPUT)
            said.append(self.by_wrapper(job))
        return job, said

    def remark(self, job: Job, sentence: str) -> Report:
        """Return a sentence for the owner of a running job; its status stays as it is."""
        words = {
            "ApplicationStatus": redacted(sentence)[:_APPLICATION_STATUS_WIDTH],
            "Source": f"JobWrapper@{self._site}",
        }
        return Report(job.job_id, ReportKind.STATUS, written(self._moments.next()), words)

    def parameters(self, job: Job, values: Mapping[str, object]) -> Report:
        """Return job parameters; what is None or empty is left out."""
        known = {name: redacted(str(value)) for name, value in values.items() if value not in (None, "")}
        return Report(job.job_id, ReportKind.PARAMETERS, written(self._moments.next()), known)

    def facts(self, job: Job, more: Mapping[str, object]) -> Report:
        """Return the parameters of an ended job: what it held and used, and whatever else is to be said."""
        own: dict[str, object] = {
            "NumberOfProcessors": job.grant.processors if job.grant else None,
            "ExitCode": job.exit_code,
            "WallClockTime(s)": None if job.wall_s is None else round(job.wall_s, 2),
        }
        if energy := job.energy:
            own["Energy(Wh)"], own["EnergySource"] = f"{energy.watt_hours:.4g}", energy.source
            own["CO2(g)"] = None if energy.co2_g is None else f"{energy.co2_g:.4g}"
        return self.parameters(job, {**own, **more})

    def moved(self, job: Job, moved: Sequence[Moved]) -> list[Report]:
        """Return the accounts of a job's transfers, one for each element, protocol and outcome."""
        groups: dict[tuple[object, ...], list[Moved]] = {}
        for one in moved:
            groups.setdefault((one.is_upload, one.element, one.protocol, one.is_done), []).append(one)
        return [self._moved(job, group) for group in groups.values()]

    def _moved(self, job: Job, group: Sequence[Moved]) -> Report:
        first = group[0]
        began = min(one.began for one in group)
        record = {
            "type": DATA_OPERATION,
            "start": written(began),
            "OperationType": "se.putFile" if first.is_upload else "se.getFile",
            "User": job.matched.owner,
            "ExecutionSite": self._site,
            "Source": self._site if first.is_upload else first.element,
            "Destination": first.element if first.is_upload else self._site,
            "Protocol": first.protocol,
            "FinalStatus": "Successful" if first.is_done else "Failed",
            "TransferSize": str(sum(one.size_bytes for one in group)),
            "TransferTime": f"{sum(one.seconds for one in group):.3f}",
            "TransferOK": str(len(group) if first.is_done else 0),
            "TransferTotal": str(len(group)),
        }
        return Report(job.job_id, ReportKind.ACCOUNT, written(self._moments.next()), record)

    def reschedule(self, job: Job) -> Report:
        """Return the order to put the job back into the queues, to follow its Rescheduled status."""
        return Report(job.job_id, ReportKind.RESCHEDULE, written(self._moments.next()), {})

    def last(self, job: Job, end: Outcome, description: JobDescription | None, power_hs06: float) -> list[Report]:
        """Return the last words about a job: its end, the order to put it back, the account of what it used."""
        said = [self.by_wrapper(job, application_status=end.application_status)]
        if end.status is JobStatus.RESCHEDULED:
            said.append(self.reschedule(job))
        if job.started_at and description:  # what never ran has used nothing
            said.append(self.account(job, description, power_hs06))
        return said

    def account(self, job: Job, description: JobDescription, power_hs06: float) -> Report:
        """Return the accounting record of an attempt, in DIRAC's names; its moment is the attempt's end.

        Args:
            job: ended; what it held and used is in it.
            description: gives its type and group.
            power_hs06: of one processor.
        """
        moment, processors = self._moments.next(), job.grant.processors if job.grant else 1
        now, started_at = written(moment), min(job.started_at or moment, moment)
        record = {
            "start": written(started_at),
            "User": job.matched.owner,
            "UserGroup": job.matched.group,
            "JobGroup": description.job_group or "unknown",
            "JobType": description.job_type,
            "Site": self._site,
            "FinalMajorStatus": str(job.status),
            "FinalMinorStatus": job.minor_status,
            "CPUTime": str(job.cpu_s or 0.0),
            "NormCPUTime": str((job.cpu_s or 0.0) * power_hs06),
            "ExecTime": str((job.wall_s or 0.0) * processors),
        }
        return Report(job.job_id, ReportKind.ACCOUNT, now, record)

    def _status(self, job: Job, source: str, application_status: str) -> Report:
        words = {
            "Status": str(job.status),
            "MinorStatus": job.minor_status[:_MINOR_STATUS_WIDTH],
            "ApplicationStatus": redacted(application_status)[:_APPLICATION_STATUS_WIDTH],
            "Source": source,
        }
        return Report(
            job.job_id,
            ReportKind.STATUS,
            written(self._moments.next()),
            {name: word for name, word in words.items() if word},
        )
