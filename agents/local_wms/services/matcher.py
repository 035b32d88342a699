"""Gives waiting jobs to pilots (WorkloadManagementSystem/Service/MatcherHandler)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.local_wms.jobs import Jobs
from agents.local_wms.matching import BadOffer, Offer, offer_of
from agents.local_wms.registry import GENERIC_PILOT, GROUPS, HOSTS_GROUP, VO
from agents.local_wms.services.base import NO_MATCH, Caller, Refusal, Service, exported
from agents.local_wms.services.pilot_manager import Pilots

LONGEST_WAIT_S = 25.0  # of an answer; nobody takes a connection for dead that is silent for so long
# what a task queue lists, by DIRAC's name; one that is empty is left out
_LISTED = {
    "Sites": "sites",
    "BannedSites": "banned_sites",
    "GridCEs": "grid_ces",
    "Platforms": "platforms",
    "Tags": "tags",
}


class Matcher(Service):
    """Serves `requestJob`; a job is given once, and there is no way to hand it back but to reschedule it."""

    name = "WorkloadManagement/Matcher"

    def __init__(self, jobs: Jobs, pilots: Pilots) -> None:
        self._jobs = jobs
        self._pilots = pilots

    @exported("requestJob")
    def request_job(self, caller: Caller, resource: Any) -> dict[str, Any]:
        """Return the best job for the resource described."""
        offer = self._offer(caller, resource)
        job_id = self._jobs.take(offer)
        if job_id is None:
            raise Refusal("", NO_MATCH)
        # as on the real one, what is wrong from here on leaves the job Matched
        self._note_pilot(resource, offer, job_id)
        row = self._jobs.database.one("SELECT JDL, Owner, OwnerGroup FROM Jobs WHERE JobID = ?", job_id)
        assert row is not None
        return {
            "JDL": row["JDL"],
            "JobID": job_id,
            "Owner": row["Owner"],
            "Group": row["OwnerGroup"],
            "OptimizerChain": "JobPath,JobSanity,JobScheduling",
            "PilotInfoReportedFlag": True,
        }

    @exported("getMatchingTaskQueues")
    def matching_task_queues(self, caller: Caller, resource: Any) -> dict[int, dict[str, Any]]:
        """Return the task queues from which the resource could get a job."""
        fitting, _ = self._jobs.queues_for(self._offer(caller, resource))
        rows = self._jobs.database.rows(
            "SELECT TQId, max(UserPriority), count(*), Owner, OwnerGroup, json_extract(Wish, '$.cpu_time_hs06s'), Wish"
            " FROM Jobs JOIN TaskQueues USING (TQId) WHERE Status = 'Waiting' GROUP BY TQId"
        )
        names = ("Priority", "Jobs", "Owner", "OwnerGroup", "CPUTime")
        fit = [row for row in rows if row[0] in fitting]
        return {row[0]: {**dict(zip(names, row[1:-1], strict=True)), **_lists(row[-1])} for row in fit}

    @exported("waitForJobs")
    async def wait_for_jobs(self, _caller: Caller, number: Any) -> int:
        """Return how often jobs have begun to wait, once that is another number. DIRAC's Matcher has no such call."""
        known = number if isinstance(number, int) else -1
        return await self._jobs.changes.beyond(known, LONGEST_WAIT_S)

    def _offer(self, caller: Caller, resource: Any) -> Offer:
        if not isinstance(resource, dict):
            raise TypeError("a resource description is a dictionary")  # HTTP 500: types are not checked on https
        try:
            offer = offer_of(resource)
        except BadOffer as error:
            raise Refusal("Error requesting job") from error
        if GENERIC_PILOT not in caller.properties:
            return replace(offer, owners=(caller.username,), owner_groups=(caller.group,))
        if caller.group == HOSTS_GROUP and resource.get("VirtualOrganization") != VO:
            raise Refusal("Error requesting job")  # a host certificate says nothing about the VO
        return offer if offer.owner_groups else replace(offer, owner_groups=tuple(GROUPS))

    def _note_pilot(self, resource: Mapping[str, Any], offer: Offer, job_id: int) -> None:
        reference = resource.get("PilotReference") or "Unknown"
        if reference == "Unknown":
            return
        if not resource.get("PilotInfoReportedFlag", False):
            # DIRAC formats the benchmark as a number here, so one sent as text breaks the call off
            benchmark = f"{resource.get('PilotBenchmark', 0.0):f}"
            ces = ", ".join(offer.grid_ces) or "Unknown"
            self._pilots.change(
                reference, Status="Running", GridSite=offer.site, DestinationSite=ces, BenchMark=float(benchmark)
            )
        self._pilots.add_job(reference, job_id)


def _lists(wish: str) -> dict[str, list[str]]:
    fields = json.loads(wish)
    return {name: fields[field] for name, field in _LISTED.items() if fields[field]}
