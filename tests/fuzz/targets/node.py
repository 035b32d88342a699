"""What a node shows: /proc, control groups, NVML's rows, machine/job features, the answers about the slot's end; and
what a task leaves behind."""

import json

from agents.slot import gpus
from agents.slot.ends import Node
from agents.slot.ends.features import features
from agents.slot.ends.grid_engine import grid_engine
from agents.slot.ends.htcondor import htcondor
from agents.slot.ends.lsf import lsf
from agents.slot.ends.pbs import pbs
from agents.slot.ends.slurm import slurm
from ce_backends.linux import cgroup, processes
from ce_backends.task.directory import TaskDir
from pilot.node import batch_slot, worker_node
from tests.fuzz import scratch
from tests.fuzz.target import Target, text
from tests.unit.captured import CAPTURES

NOW = 1_800_000_000.0
MOUNTS = (
    b"25 30 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n0::/user.slice\n",
    b"33 32 0:29 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n4:memory:/slurm/uid_0/job_1\n",
)
ENVIRON = {"JOB_ID": "5", "SGE_TASK_ID": "undefined", "QUEUE": "q", "HOSTNAME": "wn1", "SLURM_JOB_ID": "5"}
ENVIRON |= {"LSB_JOBID": "5", "PBS_JOBID": "5.s"}


def _node(data: bytes) -> Node:
    folder = scratch.folder() / "features"
    ad = scratch.file("features/ad", data)
    for name in ("shutdowntime", "jobstart_secs", "wall_limit_secs", "cpu_limit_secs", "shutdowntime_job"):
        scratch.file(f"features/{name}", data)
    environ = {**ENVIRON, "MACHINEFEATURES": str(folder), "JOBFEATURES": str(folder), "_CONDOR_JOB_AD": str(ad)}
    return Node(environ=environ, now_s=NOW, started_s=NOW, processors=2, ask=lambda *_: text(data))


def _slot_ends(data: bytes) -> None:
    node = _node(data)
    for source in (features, grid_engine, htcondor, lsf, pbs, slurm):
        source(node)


def _cgroups(data: bytes) -> None:
    mounts, _, groups = text(data).partition("\n\n")
    cgroup.hierarchies(mounts, groups)
    cgroup.hierarchies(text(data), text(data))
    proc = scratch.folder() / "root/proc/self"
    proc.mkdir(parents=True, exist_ok=True)
    (proc / "cgroup").write_bytes(data)
    (proc / "mountinfo").write_bytes(data)
    worker_node.processors(scratch.folder() / "root", {}, affinity=range(4), node="wn1")
    worker_node.memory(scratch.folder() / "root", {}, processors=1)


def _nvml(data: bytes) -> None:
    (scratch.folder() / "gpus/dev").mkdir(parents=True, exist_ok=True)
    (scratch.folder() / "gpus/dev/nvidiactl").touch()
    gpus.find_gpus(scratch.folder() / "gpus", {}, lambda *_: text(data))
    given = {"CUDA_VISIBLE_DEVICES": text(data).replace("\0", ""), "SGE_HGR_gpu": text(data).replace("\0", "")}
    gpus.find_gpus(scratch.folder() / "gpus", given, lambda *_: "GPU-1\t40000\tA100\n")


def _environment(data: bytes) -> None:
    """Give every variable that is read the same value, or a file that holds it."""
    value, file = text(data).replace("\0", ""), str(scratch.file("given", data))
    for system in (
        "SLURM_JOB_CPUS_PER_NODE",
        "NSLOTS",
        "PBS_NUM_PPN",
        "LSB_MCPU_HOSTS",
        "OAR_CPUSET",
        "SLURM_MEM_PER_NODE",
    ):
        environ = {system: value, "PE_HOSTFILE": file, "PBS_NODEFILE": file, "OAR_NODEFILE": file, "NHOSTS": value}
        environ |= {
            "_CONDOR_MACHINE_AD": file,
            "JOB_ID": "1",
            "SGE_TASK_ID": "1",
            "SLURM_NODEID": value,
            "PBS_JOBID": "1",
        }
        worker_node.processors(scratch.folder() / "none", environ, affinity=range(4), node="wn1")
        worker_node.memory(scratch.folder() / "none", environ, processors=1)
        worker_node.find_gpus(scratch.folder() / "none", environ)
        batch_slot.look(environ, ce="ce", stamp="s")
        batch_slot.end_of_slot({**environ, "SLURM_JOB_END_TIME": value})


def _task(data: bytes) -> None:
    """Put this into all that a payload may write over."""
    path = scratch.folder() / "task-dir"
    path.mkdir(exist_ok=True)
    for name in ("task", "started", "exit_code", "times", "reason", "limit"):
        (path / name).write_bytes(data)
    directory = TaskDir(path)
    for ask in ("record", "end", "exit_code", "reason", "cpu_s", "ended_s"):
        getattr(directory, ask)()
    directory.wrapper("boot")


TASKS = (
    json.dumps({"processors": 1, "outputs": ["a"], "memory_mb": 0, "wall_s": 0, "joins": []}).encode() + b"\n0\n",
    b"""{"processors":1,"outputs":[],"memory_mb":0,"wall_s":0,"joins":[]}
{"state":"Done","native":"","reason":"","exit_code":0,"usage":{"wall_s":1,"cpu_s":1,"memory_peak_mb":1},"limit":null}
""",
    b"0m1.0s 0m2.0s\n0m1.0s 0m2.0s\n",
    b"12 boot 12 (sh) S 1 1 1 0 -1 4194304 1 1 1 1 1 1 1 1 20 0 1 0 12345 1 1\n",
)
STAT = b"12 (a b) c) S 1 12 12 0 -1 4194304 1 1 1 1 1 1 1 1 20 0 1 0 12345 1 1 1 1 1\n"


def _answers() -> list[bytes]:
    said = [path.read_bytes()[:19_000] for path in sorted((CAPTURES / "grid_engine").glob("qstat_j*.out"))]
    said += [b"JobId=5 TimeLimit=1-00:00:00 RunTime=00:10:00\n", b"1-00:00:00|00:10:00\n", b"1800000000\n"]
    said += [b"h_rt 48:00:00,[wn1=01:00:00], \\\n   [@g=02:00:00]\ns_cpu INFINITY\n", b"5 u RUN q h - 1:30 L\n"]
    said += [b"<JB_job_number>5<<JAT_start_time>1700000000<<CE_name>h_rt</CE_name> <CE_doubleval>3600.0<\n"]
    return [
        *said,
        b"    Resource_List.walltime = 10:00:00\n    resources_used.walltime = 00:01:00\n",
        b"MaxRuntime = 5\n",
    ]


TARGETS = (
    Target(
        name="cgroups", run=_cgroups, seeds=lambda: MOUNTS, words=(" - cgroup2 ", " - cgroup ", "0::/", ":memory:/")
    ),
    Target(name="nvml", run=_nvml, seeds=lambda: [b"GPU-aaaa\t40000\tA100\n", b"0,1", b"gpu1 gpu2", b"MIG-1/2/3"]),
    Target(
        name="slot-ends", run=_slot_ends, seeds=_answers, words=("h_rt", "INFINITY", "TimeLimit=", "walltime = ", ":")
    ),
    Target(
        name="environment",
        run=_environment,
        seeds=lambda: [b"4(x2),8", b"wn1 16 q UNDEFINED\n", b"wn1\nwn1\n", b"2048"],
    ),
    Target(name="task-files", run=_task, seeds=lambda: TASKS),
    Target(
        name="proc-stat",
        run=lambda d: processes.parse_stat(text(d)),
        errors=(ValueError, IndexError),
        seeds=lambda: [STAT],
    ),
)
