"""Keeps the list of pilots (WorkloadManagementSystem/Service/PilotManagerHandler)."""

from datetime import datetime
from typing import Any

from agents.local_wms.jobs import Jobs
from agents.local_wms.registry import GENERIC_PILOT, OPERATOR
from agents.local_wms.services.base import NO_PILOT, Caller, Refusal, Service, exported

# The real PilotManager lets only Operators register and look up pilots (the SiteDirector does it for them). Here nobody
# submits pilots, so they may do it themselves; take GENERIC_PILOT out of these two for DIRAC's rule.
MAY_REGISTER = (OPERATOR, GENERIC_PILOT)
MAY_LOOK = (OPERATOR, GENERIC_PILOT)
MAY_REPORT = (OPERATOR, GENERIC_PILOT)


class Pilots:
    """The pilot records. A reference that was never added is silently ignored, as on the real one."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._database = jobs.database

    def add(self, reference: str, vo: str, grid_type: str, stamp: str) -> None:
        """Add a pilot; one that is known already stays as it is."""
        now = self._jobs.now()
        self._database.run(
            "INSERT OR IGNORE INTO Pilots (PilotJobReference, PilotStamp, VO, GridType, Status, SubmissionTime,"
            " LastUpdateTime) VALUES (?, ?, ?, ?, 'Submitted', ?, ?)",
            *(reference, stamp, vo, grid_type, now, now),
        )

    def change(self, reference: str, **columns: Any) -> None:
        """Write columns of a pilot, and when."""
        columns["LastUpdateTime"] = self._jobs.now()
        names = ", ".join(f"{name} = ?" for name in columns)
        # the names are keyword arguments of our own calls
        self._database.run(f"UPDATE Pilots SET {names} WHERE PilotJobReference = ?", *columns.values(), reference)  # noqa: S608 - see above

    def add_job(self, reference: str, job_id: int) -> None:
        """Note that the pilot has got a job."""
        self.change(reference, CurrentJobID=job_id)
        self._database.run(
            "INSERT OR IGNORE INTO PilotJobs SELECT PilotID, ? FROM Pilots WHERE PilotJobReference = ?",
            job_id,
            reference,
        )

    def find(self, reference: str) -> dict[str, Any] | None:
        """Return all that is known of a pilot."""
        row = self._database.one("SELECT * FROM Pilots WHERE PilotJobReference = ?", reference)
        if row is None:
            return None
        found = dict(row)
        for name in ("SubmissionTime", "LastUpdateTime"):
            found[name] = datetime.fromisoformat(found[name])
        jobs = self._database.rows("SELECT JobID FROM PilotJobs WHERE PilotID = ?", row["PilotID"])
        return {**found, "Jobs": [job["JobID"] for job in jobs]} if jobs else found

    def of_job(self, job_id: int) -> list[str]:
        """Return the references of the pilots that had a job."""
        rows = self._database.rows(
            "SELECT PilotJobReference FROM Pilots JOIN PilotJobs USING (PilotID) WHERE JobID = ?", job_id
        )
        return [row[0] for row in rows]


class PilotManager(Service):
    """Serves registration and status of pilots."""

    name = "WorkloadManagement/PilotManager"

    def __init__(self, pilots: Pilots) -> None:
        self._pilots = pilots

    @exported("addPilotReferences", *MAY_REGISTER)
    def add_references(
        self, _caller: Caller, references: list[str], vo: str, grid_type: str = "DIRAC", stamps: Any = None
    ) -> None:
        """Register pilots."""
        for reference in references:
            self._pilots.add(reference, vo, grid_type, (stamps or {}).get(reference, ""))

    @exported("getPilotInfo", *MAY_LOOK)
    def pilots_of(self, _caller: Caller, references: Any) -> dict[str, dict[str, Any]]:
        """Return what is known of the pilots asked for that exist."""
        asked = references if isinstance(references, list) else [references]
        found = {reference: pilot for reference in asked if (pilot := self._pilots.find(reference))}
        if not found:
            raise Refusal(f"No pilots found for PilotJobReference(s): {references}", NO_PILOT)
        return found

    @exported("getPilots", *MAY_LOOK)
    def pilots_of_job(self, _caller: Caller, job_id: Any) -> dict[str, dict[str, Any]]:
        """Return the pilots that had a job."""
        return {reference: self._pilots.find(reference) or {} for reference in self._pilots.of_job(int(job_id))}

    @exported("setPilotStatus", *MAY_REPORT)
    def set_status(
        self,
        _caller: Caller,
        reference: str,
        status: str,
        destination: str | None = None,
        reason: str | None = None,
        grid_site: str | None = None,
        queue: str | None = None,
    ) -> None:
        """Note a pilot's status; what is not given stays."""
        given = {"DestinationSite": destination, "StatusReason": reason, "GridSite": grid_site, "Queue": queue}
        self._pilots.change(reference, Status=status, **{name: value for name, value in given.items() if value})

    @exported("setJobForPilot", *MAY_REPORT)
    def set_job(self, _caller: Caller, job_id: Any, reference: str, destination: str | None = None) -> None:
        """Note that a pilot has a job."""
        self._pilots.add_job(reference, int(job_id))
        if destination:
            self._pilots.change(reference, DestinationSite=destination)

    @exported("setPilotBenchmark", *MAY_REPORT)
    def set_benchmark(self, _caller: Caller, reference: str, benchmark: float) -> None:
        """Note a pilot's power in HS06 per processor."""
        self._pilots.change(reference, BenchMark=float(benchmark))
