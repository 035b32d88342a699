"""What a job of DIRAC's Job API costs its servers: the kinds of jobs that are measured, and whose a call is.

The benchmark (bench/job_api.py) compares these counts with those of DIRAC's own agent, a test bounds them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

KINDS = {
    "plain": "no data",
    "input_data": "two input files",
    "output_path_https": "one output file by https",
    "output_data": "three output files",
}
ELEMENTS = "StorageElement"
_OF_AGENT = ("getProxy", "getStoredProxyStrength", "setPilotStatus")


def matched(call: Mapping[str, Any]) -> int:
    """Return the job that a call matched, 0 for none."""
    result = call["result"] if call["method"] == "requestJob" else None
    return int(result["Value"]["JobID"]) if isinstance(result, dict) and result.get("OK") else 0


def is_of_a_job(call: Mapping[str, Any]) -> bool:
    """Tell what jobs cause from what the agent does for itself: proxies, empty matches, its own configuration.

    DIRAC's wrapper downloads the configuration for each job, with the owner's proxy; an agent does so once.
    """
    if call["method"] == "requestJob":
        return matched(call) != 0
    is_agents_configuration = call["method"].startswith("getCompressed") and call["user"] == "labpilot"
    return call["method"] not in _OF_AGENT and not is_agents_configuration


def is_at_an_element(call: Mapping[str, Any]) -> bool:
    """Tell whether a call belongs to the transfer of a file: a dips element was asked about it."""
    return str(call["service"]).endswith(ELEMENTS)


def by_method(calls: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return how often each method was called for jobs, elements aside."""
    return Counter(call["method"] for call in calls if is_of_a_job(call) and not is_at_an_element(call))
