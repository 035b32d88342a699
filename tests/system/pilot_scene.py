"""The SiteDirector between the real DIRAC and a real Slurm, for the tests and the benchmark."""

import itertools
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.director import QUICK_PILOT, SiteDirector
from tests.system.dirac_stack import Stack
from tests.systems.real_system import RealSystem
from tests.systems.slurm_queue import empty

COMMANDS = ("sbatch", "squeue", "scancel")
# One of Slurm's commands: its calls are counted, with the time at which they were over. Where a file says so, it kills
# a director before it does what it is asked, or after that, so that nobody hears the answer; or it hangs, or fails, for
# the CE whose partition the file names: sbatch is told a partition, squeue the jobs that are in it.
SHIM = """\
#!/bin/sh
of() {{ [ -e {folder}/$1-{name} ] && echo " $* " | tr '=,_' '   ' | grep -qwf {folder}/$1-{name} -f {folder}/jobs; }}
[ ! -e {folder}/before-{name} ] || {{ kill -9 "$(cat {folder}/before-{name})"; exit 1; }}
if of fail "$@"; then echo "fail-{name} 0" >> {folder}/calls; echo "the controller is away" >&2; exit 1; fi
if of hang "$@"; then
    echo "hang-{name} 0" >> {folder}/calls
    while [ -e {folder}/hang-{name} ]; do sleep 1; done
    exit 1
fi
{real} "$@" > {folder}/out.$$ 2> {folder}/err.$$
code=$?
case "{name} $*" in sbatch*{watched}*) grep -o '[0-9][0-9]*' {folder}/out.$$ | head -1 >> {folder}/jobs;; esac
[ ! -e {folder}/after-{name} ] || kill -9 "$(cat {folder}/after-{name})"
echo "{name} $(date +%s.%N)" >> {folder}/calls
cat {folder}/out.$$; cat {folder}/err.$$ >&2
rm -f {folder}/out.$$ {folder}/err.$$
exit $code
"""
WATCHED = "preempt"  # partition of the CE that is to be in trouble
CE = """
    {ce} {{
        CEType = Local
        BatchSystem = SLURM
        SharedArea = {area}/{ce}
        CommandTimeout = 20
        Queues {{ grid {{
            Queue = {partition}
            NumberOfProcessors = {processors}
            MaxTotalJobs = 1000
            MaxWaitingJobs = 500
            maxCPUTime = 2880
            SI00 = 2500
            ExtraPilotOptions = {pilot}
        }} }}
    }}
"""
HEAD = """
DIRAC {{
    Configuration {{
        Servers = {servers}
    }}
    Security {{
        UseServerCertificate = yes
        CertFile = {certs}/hostcert.pem
        KeyFile = {certs}/hostkey.pem
        CALocation = {ca}
    }}
}}
Systems {{ WorkloadManagement {{ Agents {{ SiteDirector {{
    VO = {vo}
    CEs = {names}
}} }} }} }}
Resources {{ Sites {{ LAB {{ {site} {{ CEs {{
"""
TAIL = "}}}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a scene differs from the plainest one.

    Attributes:
        ces: how many CEs, each with one queue, all of them before the same Slurm.
        processors: of a pilot.
        pilot: options of the pilots.
        partitions: of Slurm, which the CEs have in turn.
    """

    ces: int = 1
    processors: int = 1
    pilot: str = QUICK_PILOT
    partitions: Sequence[str] = ("grid",)

    @property
    def names(self) -> Sequence[str]:
        return [f"ce{number}.localhost" for number in range(1, self.ces + 1)]


def shims(folder: Path, slurm: RealSystem) -> Path:
    """Put commands before Slurm's own that count their calls in `folder/calls`; return their folder."""
    made = folder / "bin"
    made.mkdir(parents=True)
    (folder / "jobs").touch()
    for name in COMMANDS:
        real = next(f"{place}/{name}" for place in slurm.env["PATH"].split(":") if Path(place, name).exists())
        text = SHIM.format(name=name, folder=folder, real=shlex.quote(real), watched=WATCHED)
        (made / name).write_text(text, encoding="utf-8")
        (made / name).chmod(0o755)
    return made


def in_slurm(slurm: RealSystem) -> list[str]:
    """Return the numbers of all jobs in Slurm's queue, one for each element of an array."""
    return slurm.run(["squeue", "-h", "-r", "-o", "%i"]).stdout.split()


def calls(folder: Path) -> list[tuple[str, float]]:
    """Return the calls of Slurm's commands through the shims in a folder: name, and when it was over."""
    path = folder / "calls"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(name, float(at_s)) for name, _, at_s in (line.partition(" ") for line in lines)]


@contextmanager
def gone_at_last(stack: Stack, slurm: RealSystem, jobs: Sequence[int]) -> Iterator[None]:
    """Leave no job in DIRAC, which the next agent would match, and no pilot in Slurm, however the block ends.

    Args:
        stack: where the jobs are.
        slurm: where the pilots are.
        jobs: those that there are when the block ends.
    """
    try:
        yield
    finally:
        if jobs:
            stack.client("admin", "delete", *map(str, jobs))
        empty(slurm)


class PilotScene:
    """A SiteDirector of ours for the real DIRAC, whose CEs are before a real Slurm."""

    def __init__(self, stack: Stack, slurm: RealSystem, folder: Path, shape: Shape = Shape()) -> None:
        self.stack, self.slurm, self.folder = stack, slurm, folder
        self.queues = [f"{name}/grid" for name in shape.names]
        endpoint = stack.endpoint
        head = HEAD.format(
            servers=endpoint["configuration"],
            certs=Path(endpoint["user_proxy"]).parent,
            ca=endpoint["ca_dir"],
            vo=endpoint["vo"],
            names=", ".join(shape.names),
            site=endpoint["site"],
        )
        area = slurm.home / folder.name
        common = {"area": area, "processors": shape.processors, "pilot": shape.pilot}
        partitions = itertools.cycle(shape.partitions)
        ces = [CE.format(ce=ce, partition=next(partitions), **common) for ce in shape.names]
        (folder / "director.cfg").write_text("\n".join([head, *ces, TAIL]), encoding="utf-8")
        env = {**slurm.env, "PATH": f"{shims(folder, slurm)}:{slurm.env['PATH']}"}
        self.director = SiteDirector(folder, ["--cfg", str(folder / "director.cfg")], **env)

    def begun(self, times: int = 1) -> None:
        """Wait until it works, as often as it was started."""
        self.director.until(lambda: self.director.written().count("director.begins") == times, "it began")

    def killed_by(self, place: str, act: Callable[[], object]) -> None:
        self.director.killed_by(self.folder / place, act)

    def killed_when(self, state: str, act: Callable[[], object]) -> None:
        """Act, and kill the director as soon as a pilot more is in this state; a decided one at first sight."""
        before = self.count(state)
        act()
        self.director.until(lambda: self.count(state) > before, state)
        assert self.director.process
        self.director.process.kill()
        self.director.process.wait()

    def count(self, state: str) -> int:
        """Return how many pilots are in a state; of the first state, how many there are at all."""
        return sum(state in ("Decided", pilot["state"]) for pilot in self.ledger())

    def in_slurm(self) -> list[str]:
        """Return the numbers of all jobs in Slurm's queue, one for each element of an array."""
        return in_slurm(self.slurm)

    def pilots(self) -> Counter[str]:
        return sum((self.director.pilots(queue) for queue in self.queues), Counter())

    def ledger(self) -> list[dict[str, Any]]:
        """Return the pilots as the ledger has them."""
        return self.director.ledger()

    def registered(self) -> dict[str, dict[str, Any]]:
        """Return what DIRAC's client says of the pilots in the ledger, by stamp; one that is not known is absent."""
        references = [f"gridpilot://{pilot['queue']}/{pilot['stamp']}" for pilot in self.ledger()]
        found = self.stack.client("admin", "pilots", *references) if references else {}
        return {info["PilotStamp"]: info for info in found.values()}
