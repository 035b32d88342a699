"""PBS's words of what a job has used, and how it has ended."""

import pytest

from ce_backends.base import Limit, TaskState
from ce_backends.batch.transport import Done
from tests.unit.batch_systems import batch_system

DONE, FAILED = TaskState.DONE, TaskState.FAILED


@pytest.mark.parametrize(
    ("walltime", "mem", "wall_s", "peak_mb"),
    [
        ("01:02:03", "2048kb", 3723.0, 2.097152),
        ("100:00:00", "5", 360000.0, 5e-06),
        ("00:00:00", "1mb", 0.0, 1.048576),
        ("02:03", "1GB", None, 1073.741824),
        ("a:b:c", "1tb", None, 1099511.627776),
        ("1234567890:00:00", "many", None, None),
        ("", "", None, None),
    ],
)
def test_what_pbs_says_that_a_job_has_used(
    walltime: str, mem: str, wall_s: float | None, peak_mb: float | None
) -> None:
    told = (
        "Job Id: 7.s\n    job_state = C\n    exit_status = 0\n    resources_used.cput = 00:01:01\n"
        f"    resources_used.walltime = {walltime}\n    resources_used.mem = {mem}\n\n"
    )
    system, _ = batch_system("Torque", {"qstat": Done(0, told, "")})

    usage = system.states(["7.s"])["7.s"].usage

    assert (usage.wall_s, usage.cpu_s, usage.memory_peak_mb) == (wall_s, 61.0, peak_mb)


@pytest.mark.parametrize(
    ("code", "given", "used", "limit", "reason"),
    [
        (271, "Resource_List.walltime = 00:10:00", "resources_used.walltime = 00:10:00", Limit.WALL, "signal 15"),
        (271, "Resource_List.walltime = 00:10:00", "resources_used.walltime = 00:09:59", None, "signal 15"),
        (137, "Resource_List.cput = 00:00:05", "resources_used.cput = 00:00:06", Limit.CPU, "signal 9"),
        (137, "Resource_List.mem = 1gb", "resources_used.mem = 1048576kb", Limit.MEMORY, "signal 9"),
        (256, "Resource_List.mem = 1gb", "resources_used.mem = 1kb", None, "signal 128"),
        (129, "x = y", "z = 0", None, "signal 1"),
    ],
)
def test_a_job_of_pbs_that_a_signal_has_ended(
    code: int, given: str, used: str, limit: Limit | None, reason: str
) -> None:
    told = f"Job Id: 7.s\n    job_state = C\n    exit_status = {code}\n    {given}\n    {used}\n\n"
    system, _ = batch_system("Torque", {"qstat": Done(0, told, "")})

    status = system.states(["7.s"])["7.s"]

    assert (status.state, status.limit, status.native) == (FAILED, limit, f"C, exit status {code}")
    assert status.reason == (f"ended at its limit of {limit}, " if limit else "") + f"killed by {reason}"


def test_an_exit_code_of_its_own_is_an_end_in_pbs() -> None:
    told = "Job Id: 7.s\n    job_state = C\n    exit_status = 128\n\n"
    system, _ = batch_system("Torque", {"qstat": Done(0, told, "")})

    assert system.states(["7.s"])["7.s"].state is DONE
