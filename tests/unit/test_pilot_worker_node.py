import pytest

from pilot.node import worker_node


def write(root, files):
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


def processors(root, environ=None, affinity=range(64), node="wn1"):
    return worker_node.processors(root, environ or {}, affinity=affinity, node=node)


def test_without_any_limit_the_affinity_counts(tmp_path):
    assert processors(tmp_path, affinity={0, 2, 5}) == worker_node.Fact(3, "affinity")


def test_a_quota_anywhere_above_our_cgroup_v2_counts(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/batch/job1/step\n",
            "sys/fs/cgroup/cpu.max": "max 100000\n",
            "sys/fs/cgroup/batch/job1/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/batch/job1/step/cpu.max": "max 100000\n",
        },
    )

    found = processors(root)

    assert found == worker_node.Fact(4, "cgroup /sys/fs/cgroup/batch/job1/cpu.max")


def test_a_quota_of_cgroup_v1_counts_and_is_rounded_down_but_not_to_nothing(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/docker/abc\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
    )
    half = tmp_path / "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us"

    before = processors(root).value
    half.write_text("50000\n")
    half.with_name("cpu.cfs_period_us").write_text("100000\n")

    assert (before, processors(root).value) == (2, 1)


def test_in_a_container_the_quota_is_at_the_top_of_the_mount_although_the_path_does_not_exist(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    )

    assert processors(root).value == 3


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "2"}, (8, "SLURM_CPUS_ON_NODE")),
        ({"SLURM_CPUS_PER_TASK": "2"}, (2, "SLURM_CPUS_PER_TASK")),
        ({"SLURM_JOB_CPUS_PER_NODE": "4,2(x3)", "SLURM_NODEID": "2"}, (2, "SLURM_JOB_CPUS_PER_NODE")),
        ({"SLURM_JOB_CPUS_PER_NODE": "4,2(x3)"}, (4, "SLURM_JOB_CPUS_PER_NODE")),
        ({"SLURM_JOB_CPUS_PER_NODE": "2(x3)", "SLURM_NODEID": "7"}, (64, "affinity")),
        ({"PBS_NUM_PPN": "6", "PBS_NP": "12", "PBS_NUM_NODES": "2"}, (6, "PBS_NUM_PPN")),
        ({"PBS_NP": "12"}, (12, "PBS_NP")),
        ({"PBS_NP": "12", "PBS_NUM_NODES": "2"}, (64, "affinity")),
        ({"NCPUS": "3"}, (3, "NCPUS")),
        ({"NSLOTS": "4"}, (4, "NSLOTS")),
        ({"NSLOTS": "40", "NHOSTS": "5"}, (64, "affinity")),
        ({"LSB_DJOB_NUMPROC": "9"}, (9, "LSB_DJOB_NUMPROC")),
        ({"LSB_DJOB_NUMPROC": "9", "LSB_MCPU_HOSTS": "wn2 4 wn1.site.ch 5"}, (5, "LSB_MCPU_HOSTS")),
        ({"NSLOTS": "many"}, (64, "affinity")),
        ({"OMP_NUM_THREADS": "2"}, (64, "affinity")),
    ],
)
def test_the_batch_systems_word_counts(tmp_path, environ, expected):
    found = processors(tmp_path, environ)

    assert (found.value, found.origin) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"NSLOTS": "32", "NHOSTS": "2", "PE_HOSTFILE": "{pe}"}, (20, "PE_HOSTFILE")),
        ({"NSLOTS": "4", "NHOSTS": "1", "PE_HOSTFILE": "{pe}"}, (4, "NSLOTS")),
        ({"PBS_NUM_NODES": "2", "PBS_NODEFILE": "{pbs}", "PBS_NUM_PPN": "8", "PBS_NP": "11"}, (3, "PBS_NODEFILE")),
        ({"PBS_NUM_NODES": "1", "PBS_NODEFILE": "{pbs}", "PBS_NUM_PPN": "8"}, (8, "PBS_NUM_PPN")),
        ({"PBS_NUM_NODES": "2", "PBS_NODEFILE": "/none", "PBS_NUM_PPN": "8"}, (8, "PBS_NUM_PPN")),
        ({"LSB_MCPU_HOSTS": "wn1 1", "LSB_BIND_CPU_LIST": "4,5,8-9"}, (4, "LSB_BIND_CPU_LIST")),
    ],
)
def test_of_a_job_over_several_hosts_this_hosts_part_counts(tmp_path, environ, expected):
    write(tmp_path, {"pe": "WN1.site.org 16 a.q@wn1 <NULL>\nwn2.site 8 a.q@wn2 <NULL>\nwn1 4 b.q@wn1 UNDEFINED\n"})
    write(tmp_path, {"pbs": "wn1\nwn1.site\nwn2\nwn1\n"})
    given = {name: text.format(pe=tmp_path / "pe", pbs=tmp_path / "pbs") for name, text in environ.items()}

    found = processors(tmp_path, given)

    assert (found.value, found.origin) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SGE_TASK_ID": "1", "SGE_HGR_gpu": "gpu0 gpu2"}, ("gpu0", "gpu2")),
        ({"SGE_TASK_ID": "undefined"}, ()),
        ({"PBS_JOBID": "1"}, ()),
        ({"LSB_JOBID": "1"}, ()),
        ({"SLURM_JOB_ID": "1"}, ()),
        ({}, ("nvidia0",)),
    ],
)
def test_where_nobody_was_given_a_gpu_none_is_taken(tmp_path, environ, expected):
    write(tmp_path, {"dev/nvidia0": "", "dev/nvidiactl": ""})

    assert worker_node.find_gpus(tmp_path, environ)[0] == expected


def test_files_of_batch_systems_are_read(tmp_path):
    write(
        tmp_path,
        {
            "ad": 'Name = "slot1"\nCpus = 5\nMemory = 2000\n',
            "nodes": "wn1\nwn1\nwn2\n",
            "features/allocated_cpu": "7\n",
            "features/max_rss_bytes": "3000000000\n",
        },
    )

    assert processors(tmp_path, {"_CONDOR_MACHINE_AD": str(tmp_path / "ad")}).value == 5
    assert processors(tmp_path, {"OAR_NODEFILE": str(tmp_path / "nodes")}).value == 2
    assert processors(tmp_path, {"JOBFEATURES": str(tmp_path / "features")}).value == 7
    assert processors(tmp_path, {"JOBFEATURES": "https://mjf/features"}).value == 64


def test_memory_is_the_least_of_node_cgroup_and_batch_system(tmp_path):
    root = write(tmp_path, {"proc/meminfo": "MemTotal:       16000000 kB\n", "proc/self/cgroup": "0::/job\n"})

    of_node = worker_node.memory(root, {}, processors=2)
    per_gpu = worker_node.memory(root, {"SLURM_MEM_PER_GPU": "1000", "SLURM_GPUS_ON_NODE": "2"}, processors=8)
    of_batch = worker_node.memory(root, {"SLURM_MEM_PER_CPU": "1000"}, processors=2)
    write(root, {"sys/fs/cgroup/job/memory.max": "2000000000\n"})
    of_cgroup = worker_node.memory(root, {"SLURM_MEM_PER_NODE": "4000"}, processors=2)
    of_limit = worker_node.memory(root, {}, processors=2, address_space=1_500_000_000)

    assert (per_gpu.value, per_gpu.origin) == (2097, "SLURM_MEM_PER_GPU")
    assert (of_limit.value, of_limit.origin) == (1500, "limit of address space (ulimit -v)")
    assert (of_node.value, of_node.origin) == (16384, "MemTotal of the node")
    assert (of_batch.value, of_batch.origin) == (2097, "SLURM_MEM_PER_CPU")
    assert (of_cgroup.value, of_cgroup.origin) == (2000, "cgroup /sys/fs/cgroup/job/memory.max")


def test_memory_above_which_the_kernel_throttles_is_not_offered(tmp_path):
    files = {"memory.max": "max\n", "memory.high": "3000000000\n"}
    root = write(tmp_path, {f"sys/fs/cgroup/job/{name}": text for name, text in files.items()})
    write(root, {"proc/meminfo": "MemTotal:       16000000 kB\n", "proc/self/cgroup": "0::/job\n"})

    found = worker_node.memory(root, {}, processors=2)

    assert (found.value, found.origin) == (3000, "cgroup /sys/fs/cgroup/job/memory.high")


def test_the_huge_number_of_cgroup_v1_is_no_limit(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/meminfo": "MemTotal:       1000000 kB\n",
            "proc/self/cgroup": "5:memory:/job\n",
            "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )

    assert worker_node.memory(root, {}, processors=1).value == 1024


def test_unknown_memory_is_zero_and_says_so(tmp_path):
    assert worker_node.memory(tmp_path, {}, processors=1) == worker_node.Fact(0, "unknown")


@pytest.mark.parametrize(
    ("visible", "expected"),
    [("0,1", ("0", "1")), ("", ()), ("NoDevFiles", ()), ("-1", ()), ("GPU-5a", ("GPU-5a",)), (None, ("nvidia0",))],
)
def test_gpus_are_those_that_the_batch_system_shows_else_the_devices(tmp_path, visible, expected):
    write(tmp_path, {"dev/nvidia0": "", "dev/nvidiactl": ""})

    found, _ = worker_node.find_gpus(tmp_path, {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible})

    assert found == expected


def test_this_node_can_be_looked_at(tmp_path):
    node = worker_node.look(worker_node.Path("/"), {}, tmp_path / "not" / "there")

    assert node.processors.value >= 1
    assert node.disk_mb.value > 0
    assert node.architecture.startswith("Linux_")
