"""When the slot ends, as each source says: outputs recorded on Slurm 22.05 and Son of Grid Engine 8.1.9; the others
as their manuals show them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from agents.slot.command import Ask, nobody
from agents.slot.ends import Node, read_again, survey, waits_for_commands
from agents.slot.ends.grid_engine import grid_engine
from agents.slot.ends.source import duration_s

NOW_S, STARTED_S = 1_795_315_600.0, 1_795_315_000.0

SCONTROL = (
    "JobId={id} JobName=wrap UserId=griduser(4000) JobState={state} Reason=None Restarts=0 BatchFlag=1 ExitCode=0:0 "
    "RunTime={run} TimeLimit={limit} TimeMin=N/A SubmitTime=2026-11-22T02:39:13 StartTime=2026-11-22T02:39:13 "
    "EndTime={end} Deadline=N/A PreemptEligibleTime=2026-11-22T02:39:13 PreemptTime=None SuspendTime=None "
    "SecsPreSuspend=0 Partition=low NodeList=n3 CPUs/Task=1 ReqB:S:C:T=0:0:*:* TRES=cpu=1,mem=256M,node=1 Power= \n"
)
RUNNING = SCONTROL.format(id=3, state="RUNNING", run="00:00:04", limit="1-01:30:00", end="2026-11-23T04:09:13")
UNLIMITED = SCONTROL.format(id=3, state="RUNNING", run="00:00:08", limit="UNLIMITED", end="Unknown")
ARRAY = SCONTROL.format(id=2, state="RUNNING", run="00:50:00", limit="01:00:00", end="2026-11-22T03:39:13") + RUNNING

QSTAT_PBS = """\
Job Id: 522083.barnacle.example.org
    Job_Name = timeout.pbs
    resources_used.cput = 00:20:00
    resources_used.mem = 3500kb
    resources_used.walltime = 00:00:14
    job_state = R
    Error_Path = barnacle.example.org:/home/user/test/a-long-name-that-goes-on-in
\t-the-next-line.e522083
    Resource_List.cput = 02:00:00
    Resource_List.nodes = 1:ppn=1
    Resource_List.walltime = 00:30:00
    Walltime.Remaining = 1700
"""
QSTAT_GE = """\
<detailed_job_info><djob_info><element><JB_job_number>1</JB_job_number>
<JB_hard_resource_list><qstat_l_requests><CE_name>h_rt</CE_name><CE_valtype>3</CE_valtype>
<CE_stringval>3600</CE_stringval><CE_doubleval>3600.000000</CE_doubleval></qstat_l_requests>
<qstat_l_requests><CE_name>h_cpu</CE_name><CE_stringval>7200</CE_stringval><CE_doubleval>7200.000000</CE_doubleval>
</qstat_l_requests></JB_hard_resource_list>
<JB_ja_tasks><ulong_sublist><JAT_start_time>{start}</JAT_start_time></ulong_sublist></JB_ja_tasks>
</element></djob_info></detailed_job_info>
"""
QCONF = """\
qname                 short.q
min_cpu_interval      00:05:00
s_rt                  {s_rt}
h_rt                  {h_rt}
"""
BJOBS = """\
JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   TIME_LEFT
42      user1   RUN   normal     host1       host2       pilot      {left}
"""


def answering(**outputs: str) -> Ask:
    """Return commands that print this, by name; the others fail."""
    return lambda *argv: outputs.get(argv[0])


def node(environ: Mapping[str, str], ask: Ask = nobody, processors: int = 1) -> Node:
    return Node(environ=environ, now_s=NOW_S, started_s=STARTED_S, processors=processors, ask=ask)


def left(environ: Mapping[str, str], ask: Ask = nobody, processors: int = 1) -> dict[str, float]:
    """Return the seconds left by source."""
    told = survey(node(environ, ask, processors))
    return {end.source: end.epoch_s - NOW_S for ends in told.values() for end in ends}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-01:30:00", 91_800.0),
        ("26:03:04", 93_784.0),
        ("03:04", 184.0),
        ("90", 90.0),
        ("8:11:52:22", 733_942.0),
        ("2:0:0", 7200.0),
        ("00:00:14.5", 14.0),
        ("UNLIMITED", None),
        ("INFINITY", None),
        ("", None),
        ("-5", None),
        ("1:2:3:4:5", None),
    ],
)
def test_durations_are_read_in_every_batch_system_s_way(text: str, seconds: float | None) -> None:
    assert duration_s(text) == seconds


def test_slurm_s_controller_counts_what_ran_not_what_the_clock_shows() -> None:
    assert left({"SLURM_JOB_ID": "3"}, answering(scontrol=RUNNING)) == {"Slurm's scontrol": 91_796.0}


def test_job_without_limit_has_no_end_and_the_answer_counts() -> None:
    told = survey(node({"SLURM_JOB_ID": "3", "SLURM_JOB_END_TIME": "1"}, answering(scontrol=UNLIMITED)))

    assert told == {"Slurm": []}


def test_last_task_of_an_array_finds_its_own_line() -> None:
    assert left({"SLURM_JOBID": "3"}, answering(scontrol=ARRAY)) == {"Slurm's scontrol": 91_796.0}


def test_slurm_s_accounting_answers_when_the_controller_does_not() -> None:
    assert left({"SLURM_JOB_ID": "3"}, answering(sacct="01:30:00|00:10:00\n")) == {"Slurm's sacct": 4800.0}


@pytest.mark.parametrize("silent", ["", "|00:00:04\n", "slurm_load_jobs error: Invalid job id specified\n"])
def test_slurm_s_variable_answers_when_nothing_else_does(silent: str) -> None:
    environ = {"SLURM_JOB_ID": "3", "SLURM_JOB_END_TIME": str(int(NOW_S) + 60)}

    assert left(environ, answering(sacct=silent, scontrol=silent)) == {"SLURM_JOB_END_TIME": 60.0}


@pytest.mark.parametrize("word", ["", "soon", "²", "-1", "9" * 20])
def test_nonsense_in_slurm_s_variable_is_no_answer(word: str) -> None:
    assert survey(node({"SLURM_JOB_ID": "3", "SLURM_JOB_END_TIME": word})) == {}


def test_pbs_tells_wall_and_cpu_limits() -> None:
    assert left({"PBS_JOBID": "522083.barnacle"}, answering(qstat=QSTAT_PBS), processors=2) == {
        "PBS walltime": 1200.0,  # 600 s since our own start, of which PBS knows only 14
        "PBS cput": 3000.0,  # 6000 s of CPU time, by two processors
        "PBS Walltime.Remaining": 1700.0,
    }


def test_pbs_that_does_not_answer_leaves_what_it_said_before() -> None:
    assert survey(node({"PBS_JOBID": "1"})) == {}


@pytest.mark.parametrize("start", ["1795315214", "1795315214000"])
def test_grid_engine_counts_from_the_job_s_start_in_seconds_or_milliseconds(start: str) -> None:
    environ = {"JOB_ID": "1", "SGE_TASK_ID": "undefined", "QUEUE": "all.q"}
    queue = QCONF.format(s_rt="INFINITY", h_rt="INFINITY")

    found = left(environ, answering(qstat=QSTAT_GE.format(start=start), qconf=queue), processors=4)

    assert found == {"Grid Engine h_rt": 3214.0, "Grid Engine h_cpu": 1414.0}


@pytest.mark.parametrize(
    ("value", "limit_s"),
    [
        ("48:00:00", 172_800),
        ("48:00:00,[wn1=01:00:00]", 3600),
        ("48:00:00,[wn1.site.org=01:00:00]", 3600),
        ("48:00:00,[wn9=01:00:00]", 172_800),
        ("48:00:00,[@slow=72:00:00],[@fast=12:00:00]", 43_200),
        ("48:00:00,[@fast=12:00:00],[wn1=24:00:00]", 86_400),
        ("INFINITY,[wn1=12:00:00], \\\n                      [wn2=02:00:00]", 43_200),
        ("INFINITY,[@fast=12:00:00]", 43_200),
        ("12:00:00,[wn1=INFINITY]", None),
        ("INFINITY", None),
    ],
)
def test_a_queues_value_for_this_host_counts(value: str, limit_s: int | None) -> None:
    queue = f"qname  long.q\nh_rt                  {value}\ns_cpu  INFINITY\n"
    environ = {"JOB_ID": "5", "SGE_TASK_ID": "undefined", "QUEUE": "long.q", "HOSTNAME": "wn1.site.org"}
    node = Node(
        environ=environ,
        now_s=1000.0,
        started_s=1000.0,
        processors=1,
        ask=lambda *argv: queue if argv[0] == "qconf" else None,
    )

    ends = grid_engine(node)

    assert ends is not None
    assert [end.epoch_s - 1000 for end in ends] == ([] if limit_s is None else [limit_s])


def test_grid_engine_s_queue_limits_count_from_our_own_start_when_the_job_is_not_described() -> None:
    environ = {"JOB_ID": "1", "SGE_TASK_ID": "undefined", "QUEUE": "short.q"}

    found = left(environ, answering(qconf=QCONF.format(s_rt="00:15:00", h_rt="00:20:00")))

    assert found == {"Grid Engine s_rt": 300.0, "Grid Engine h_rt": 600.0}


@pytest.mark.parametrize(("shown", "found"), [("11:50 L", 42_600.0), ("0:0 X", 0.0)])
def test_lsf_tells_what_is_left_to_the_limit(shown: str, found: float) -> None:
    assert left({"LSB_JOBID": "42"}, answering(bjobs=BJOBS.format(left=shown))) == {"LSF run limit": found}


@pytest.mark.parametrize(("shown", "told"), [("-", {"LSF": []}), ("1:30 E", {})])
def test_lsf_without_limit_is_told_from_lsf_that_only_estimates(shown: str, told: object) -> None:
    assert survey(node({"LSB_JOBID": "42"}, answering(bjobs=BJOBS.format(left=shown)))) == told


def test_task_of_an_lsf_array_is_asked_for_by_its_index() -> None:
    asked: list[tuple[str, ...]] = []

    survey(node({"LSB_JOBID": "42", "LSB_JOBINDEX": "7"}, lambda *argv: asked.append(argv)))

    assert asked[0][-1] == "42[7]"


@pytest.fixture
def condor(tmp_path: Path) -> Callable[..., dict[str, str]]:
    def write(job: str, machine: str = "", update: str = "") -> dict[str, str]:
        for name, text in ((".job.ad", job), (".machine.ad", machine), (".update.ad", update)):
            (tmp_path / name).write_text(text, encoding="utf-8")
        return {
            "_CONDOR_JOB_AD": str(tmp_path / ".job.ad"),
            "_CONDOR_MACHINE_AD": str(tmp_path / ".machine.ad"),
            "_CONDOR_SCRATCH_DIR": str(tmp_path),
        }

    return write


def test_htcondor_s_ads_are_read_together(condor: Callable[..., dict[str, str]]) -> None:
    environ = condor(
        f"JobCurrentStartDate = {STARTED_S - 100:.0f}\nMaxWallTimeMins = 60\nallowedjobduration = 3000\n",
        f"MaxJobRetirementTime = 2000\nGLIDEIN_ToDie = {NOW_S + 50:.0f}\n",
    )

    assert left(environ) == {
        "HTCondor AllowedJobDuration": 2300.0,
        "HTCondor MaxJobRetirementTime": 1300.0,
        "HTCondor MaxWallTimeMins": 2900.0,
        "HTCondor GLIDEIN_ToDie": 50.0,
    }


def test_htcondor_s_expressions_and_zeros_say_nothing(condor: Callable[..., dict[str, str]]) -> None:
    environ = condor("MaxRuntime = ifThenElse(true, 1, 2)\n", "MaxJobRetirementTime = 0\nCpus = 1\n")

    assert survey(node(environ)) == {"HTCondor": []}


def test_start_of_an_earlier_attempt_in_the_future_is_not_believed(condor: Callable[..., dict[str, str]]) -> None:
    environ = condor(f"JobCurrentStartDate = {NOW_S + 10**6:.0f}\nMaxRuntime = 1000\n")

    assert left(environ) == {"HTCondor MaxRuntime": 400.0}


def test_htcondor_s_update_wins_over_the_job_as_it_was(condor: Callable[..., dict[str, str]]) -> None:
    assert left(condor("MaxRuntime = 1000\n", "", "MaxRuntime = 700\n")) == {"HTCondor MaxRuntime": 100.0}


def test_oar_counts_from_the_writing_of_its_file(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.touch()
    os.utime(nodes, (STARTED_S - 60, STARTED_S - 60))

    assert left({"OAR_JOB_WALLTIME": "2:0:0", "OAR_NODEFILE": str(nodes)}) == {"OAR wall time": 6540.0}


def test_a_file_of_oar_that_is_older_than_the_wall_time_is_of_a_late_clock(tmp_path: Path) -> None:
    nodes = tmp_path / "nodes"
    nodes.touch()
    os.utime(nodes, (STARTED_S - 7200, STARTED_S - 7200))

    assert left({"OAR_JOB_WALLTIME": "2:0:0", "OAR_NODEFILE": str(nodes)}) == {"OAR wall time": 6600.0}


def test_features_are_read_from_their_folders(tmp_path: Path) -> None:
    for name, number in (("shutdowntime", NOW_S + 500), ("wall_limit_secs", 1000), ("cpu_limit_secs", 8000)):
        (tmp_path / name).write_text(f"{number:.0f}\n", encoding="ascii")

    found = left({"MACHINEFEATURES": str(tmp_path), "JOBFEATURES": str(tmp_path)}, processors=4)

    assert found == {
        "MACHINEFEATURES/shutdowntime": 500.0,
        "JOBFEATURES/wall_limit_secs": 400.0,
        "JOBFEATURES/cpu_limit_secs": 1400.0,
    }


@pytest.mark.parametrize("text", ["", "never", "-5", "1e400", "nan", "²"])
def test_nonsense_in_a_feature_is_no_end(text: str, tmp_path: Path) -> None:
    (tmp_path / "shutdowntime").write_text(text, encoding="utf-8")

    assert left({"MACHINEFEATURES": str(tmp_path)}) == {}


def test_features_behind_a_url_are_not_looked_for() -> None:
    assert left({"MACHINEFEATURES": "https://example.org/features"}) == {}


def test_node_outside_any_batch_system_has_no_source() -> None:
    assert survey(node({})) == {}


@pytest.mark.parametrize(
    ("environ", "waits"), [({"PBS_JOBID": "1"}, True), ({"_CONDOR_JOB_AD": "/x"}, False), ({}, False)]
)
def test_only_systems_that_answer_by_commands_are_waited_for(environ: dict[str, str], waits: bool) -> None:
    assert waits_for_commands(environ) is waits


def test_notice_in_a_file_is_read_again_and_what_commands_told_is_not_touched(tmp_path: Path) -> None:
    environ = {"MACHINEFEATURES": str(tmp_path), "SLURM_JOB_ID": "3", "SLURM_JOB_END_TIME": "1795315700"}
    node = Node(environ=environ, now_s=NOW_S, started_s=STARTED_S, processors=1, ask=nobody)
    (tmp_path / "shutdowntime").write_text("1795315650", encoding="ascii")

    told = read_again(node)

    assert set(told) == {"features"}
    assert [end.epoch_s for end in told["features"]] == [1795315650.0]
