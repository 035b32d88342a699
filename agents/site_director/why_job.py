"""Why no pilot comes for a job: what its JDL asks for beside what a pilot of each queue offers, in sentences."""

from collections.abc import Mapping, Sequence

from agents.jobs.classad import Record, Value, parse
from agents.jobs.jdl import JdlError, describe
from agents.site_director.queues import PilotQueue
from agents.wms import answers
from agents.wms.service import Service
from ce_backends.readers import comma_list

_ANY = "any"
_WAITING = "Waiting"


def why(monitoring: Service, job_id: int, queues: Sequence[PilotQueue], troubles: Mapping[str, str]) -> str:
    """Return how a job stands; of one that waits, for each queue why its pilots cannot run it, or that they can.

    Args:
        monitoring: the JobMonitoring service.
        job_id: of it.
        queues: that get pilots.
        troubles: by queue, why it gets none now.

    Raises:
        ServiceError: the WMS cannot be asked, or knows no such job.
    """
    call = "JobMonitoring.getJobSummary"
    facts = answers.mapping(monitoring.call("getJobSummary", job_id), call)
    status, minor = (str(facts.get(name, ""))[:80] for name in ("Status", "MinorStatus"))
    if status != _WAITING:
        return f"job {job_id} waits for no pilot: it is {status or 'not known'} ({minor})"
    jdl = answers.text(monitoring.call("getJobJDL", job_id, False), "JobMonitoring.getJobJDL", "a JDL")  # noqa: FBT003 - the wire's
    try:
        return "\n".join([f"job {job_id} waits", *(_line(jdl, queue, troubles) for queue in queues)])
    except JdlError as error:
        return f"job {job_id} waits, and its JDL cannot be read: {error}"


def _line(jdl: str, queue: PilotQueue, troubles: Mapping[str, str]) -> str:
    if reasons := refusals(jdl, queue):
        return f"{queue.name}: {'; '.join(reasons)}"
    trouble = troubles.get(queue.name)
    return f"{queue.name}: its pilots can run it{f', but {trouble}' if trouble else ''}"


def refusals(jdl: str, queue: PilotQueue) -> list[str]:
    """Return why pilots of a queue cannot run a job, as far as that is known before they start.

    Raises:
        JdlError: it is no JDL.
    """
    record, description, offered = parse(jdl), describe(jdl), queue.matcher
    asked = description.request
    tags = {str(tag) for tag in _listed(offered.get("Tag"))}
    required = {str(tag) for tag in _listed(offered.get("RequiredTag"))}
    found = [*_places(record, queue)]
    if asked.min_processors > queue.processors:
        found.append(f"it asks for {asked.min_processors} processors, pilots there have {queue.processors}")
    memory_mb = offered.get("MaxRAM")
    wanted_mb = asked.min_memory_mb or asked.memory_mb
    if isinstance(memory_mb, int) and wanted_mb > memory_mb:
        found.append(f"it asks for {wanted_mb} MB of memory, pilots there have {memory_mb}")
    work = offered.get("CPUTime")
    if isinstance(work, int) and (description.cpu_time_s or 0) > work:
        found.append(f"it asks for {description.cpu_time_s} HS06 s of CPU work, pilots there have {work}")
    if asked.whole_node and "WholeNode" not in offered:
        found.append("it asks for a whole node, pilots there have a part of one")
    if missing := sorted(tag for tag in asked.tags - tags if not tag.endswith(("Processors", "MultiProcessor", "GB"))):
        found.append(f"it asks for tag {', '.join(missing)}")
    if lacking := sorted(required - asked.tags):
        found.append(f"pilots there take only jobs with tag {', '.join(lacking)}")
    return found


def _places(record: Record, queue: PilotQueue) -> list[str]:
    found = []
    for name, offered, noun in (
        ("Site", queue.site, "at"),
        ("GridCE", queue.ce, "on CE"),
        ("Platform", str(queue.matcher.get("Platform", "")), "on platform"),
    ):
        asked = _words(record, name)
        if asked and offered and offered not in asked:
            found.append(f"it may run {noun} {', '.join(asked)} only")
    if queue.site in (*_words(record, "BannedSites"), *_words(record, "BannedSite")):
        found.append(f"it may not run at {queue.site}")
    return found


def _words(record: Record, name: str) -> list[str]:
    """Return what an attribute lists; nothing where it lists Any."""
    listed = _texts(record.get(name, ""))
    return [] if any(word.lower() == _ANY for word in listed) else listed


def _texts(value: Value) -> list[str]:
    if isinstance(value, str):
        return list(comma_list(value))
    return [str(item) for item in value if isinstance(item, str)] if isinstance(value, tuple) else []


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else []
