"""Layouts of control groups as nodes have them: mounts, membership, the folder that is ours, the source.

`{}` stands for the place of the tree. Folders are made before the look; those that are not to be written are named.
"""

from dataclasses import dataclass

_V2 = "30 24 0:26 / {}/cg rw,nosuid - cgroup2 cgroup2 rw\n"


@dataclass(frozen=True)
class Layout:
    """One node.

    Attributes:
        mountinfo: the text of /proc/self/mountinfo.
        membership: the text of /proc/self/cgroup.
        folders: that exist.
        closed: those of them that are not ours to write.
        own: the folder in which tasks' groups are made, "" where no group can be had.
        source: where it is from.
    """

    mountinfo: str
    membership: str
    folders: tuple[str, ...]
    closed: tuple[str, ...]
    own: str
    source: str


LAYOUTS = [
    Layout(
        _V2,
        "0::/user.slice/user-1.slice/s.scope\n",
        ("cg/user.slice/user-1.slice/s.scope",),
        (),
        "cg/user.slice/user-1.slice/s.scope",
        "systemd 252: a session that is delegated",
    ),
    Layout(
        _V2,
        "0::/htcondor/slot1.slice/job.scope\n",
        ("cg/htcondor/slot1.slice/job.scope",),
        ("cg/htcondor/slot1.slice/job.scope",),
        "cg/htcondor/slot1.slice",
        "HTCondor 25 on EL9.8: the slice is delegated",
    ),
    Layout(
        _V2,
        "0::/a.slice/b.slice/c.scope\n",
        ("cg/a.slice/b.slice/c.scope",),
        ("cg/a.slice/b.slice/c.scope", "cg/a.slice/b.slice"),
        "cg/a.slice",
        "two scopes below what is delegated",
    ),
    Layout(
        _V2,
        "0::/system.slice/slurmstepd.scope/job_1/step_0/user/task_0\n",
        ("cg/system.slice/slurmstepd.scope/job_1/step_0/user/task_0",),
        (
            "cg",
            "cg/system.slice",
            "cg/system.slice/slurmstepd.scope",
            "cg/system.slice/slurmstepd.scope/job_1",
            "cg/system.slice/slurmstepd.scope/job_1/step_0",
            "cg/system.slice/slurmstepd.scope/job_1/step_0/user",
            "cg/system.slice/slurmstepd.scope/job_1/step_0/user/task_0",
        ),
        "cg/system.slice/slurmstepd.scope/job_1/step_0/user/task_0",
        "Slurm 22.05 with cgroup/v2: nothing is delegated",
    ),
    Layout(_V2, "0::/\n", ("cg",), (), "cg", "a container with its own cgroup namespace (podman, Kubernetes)"),
    Layout(_V2, "0::/../../other\n", ("cg",), (), "", "a group outside of our namespace"),
    Layout(
        "30 24 0:26 /docker/abc {}/cg ro - cgroup2 cgroup2 ro\n",
        "0::/docker/abc\n",
        ("cg",),
        ("cg",),
        "cg",
        "Docker 20: mounted read-only, at our own group",
    ),
    Layout(
        "30 24 0:26 /docker/abc {}/cg rw - cgroup2 cgroup2 rw\n",
        "0::/docker/abc/init\n",
        ("cg/init",),
        (),
        "cg/init",
        "Docker with --cgroupns=host and a group below",
    ),
    Layout(
        "31 24 0:27 / {}/u rw - cgroup2 cgroup2 rw\n",
        "4:memory:/m\n0::/s\n",
        ("u/s",),
        (),
        "u/s",
        "EL7 and EL8: version 2 beside version 1",
    ),
    Layout(
        "31 24 0:27 / {}/f rw - cgroup cgroup rw,freezer\n",
        "7:freezer:/slurm/uid_1/job_1\n",
        ("f/slurm/uid_1/job_1",),
        (),
        "",
        "EL7 with Slurm 20.11: version 1 only",
    ),
]
