"""CE types that are a place and a batch system: DIRAC's `Local` and `SSH`, with the option `BatchSystem`."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Protocol, cast

from ce_backends.base import TaskSpec
from ce_backends.batch import options as batch_options
from ce_backends.batch.ce import BatchCE, Bounds
from ce_backends.batch.conclusion import Patience
from ce_backends.batch.options import BatchSettings, Needs, Options
from ce_backends.batch.plan import Recorder, Records
from ce_backends.batch.spool import Spool
from ce_backends.batch.ssh import Login, Ssh
from ce_backends.batch.staged_spool import StagedSpool
from ce_backends.batch.system import BatchSystem
from ce_backends.batch.task_book import TaskBook
from ce_backends.batch.transport import Local, Transport
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, setting, table_of, value_of
from ce_backends.task.log_limit import Cap

BYTES_PER_MB = 1_000_000
SYSTEMS = {
    "Condor": "ce_backends.batch.systems.htcondor:Condor",
    "GE": "ce_backends.batch.systems.grid_engine:GridEngine",
    "Host": "ce_backends.batch.systems.host:Host",
    "LSF": "ce_backends.batch.systems.lsf:Lsf",
    "OAR": "ce_backends.batch.systems.oar:Oar",
    "SLURM": "ce_backends.batch.systems.slurm:Slurm",
    "Torque": "ce_backends.batch.systems.pbs:Pbs",
}
"""By DIRAC's name of the batch system: where its dialect is."""
STAGING = frozenset({"Condor"})
"""Those that bring files to their nodes and back themselves: only the submit host must see SharedArea."""


class Dialect(Protocol):
    """What an entry of SYSTEMS names: the class of a BatchSystem."""

    OPTIONS: Sequence[Option]
    COMMAND: str
    """A command that no other batch system has; where it is found, this one can be used. Empty for none."""

    def __call__(self, transport: Transport, needs: Needs, *, timeout_s: float, options: Options) -> BatchSystem:
        """Return the dialect, its own options taken out of all that were given."""


def dialect(name: str) -> Dialect:
    """Return the class for a batch system, by DIRAC's name of it."""
    module, _, attribute = SYSTEMS[name].partition(":")
    return cast("Dialect", getattr(import_module(module), attribute))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """What takes the tasks there."""

    batch_system: str = setting(
        Option(
            name="BatchSystem",
            kind=str,
            default="Host",
            choices=sorted(SYSTEMS),
            doc="What takes the tasks; Host for none, they are started on the machine itself.",
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """What can be set for the way to the other machine."""

    host: str = setting(
        Option(name="SSHHost", kind=str, default="", doc="Host to log in to; needed.", example="ce.example.org")
    )
    user: str = setting(
        Option(name="SSHUser", kind=str, default="", doc="User there; ssh's own configuration decides if empty.")
    )
    port: int = setting(
        Option(name="SSHPort", kind=int, default=0, minimum=0, doc="Port there; ssh's own configuration decides if 0.")
    )
    key: str = setting(
        Option(name="SSHKey", kind=str, default="", doc="Private key file; ssh's own configuration decides if empty.")
    )
    jump: str = setting(
        Option(name="SSHTunnel", kind=str, default="", doc="Jump host, or several with commas, as ssh -J takes them.")
    )
    options: str = setting(
        Option(
            name="SSHOptions", kind=str, default="", doc="More arguments of ssh, quoted as for a shell.", is_quoted=True
        )
    )


def _options(way: Sequence[Option] = ()) -> Sequence[Option]:
    own = (option for name in sorted(SYSTEMS) for option in dialect(name).OPTIONS)
    return (*table_of(PlaceSettings), *way, *batch_options.OPTIONS, *own)


class LocalBatch:
    """The batch system whose commands are on this machine: CE type `Local`."""

    OPTIONS: ClassVar[Sequence[Option]] = _options()

    @classmethod
    def from_options(cls, work_dir: Path, options: Options) -> BatchCE:
        """See registry.Backend."""
        batch_options.need_variables(_with_variables(options))
        return _build(work_dir, options, Local())

    @classmethod
    def plan(cls, work_dir: Path, options: Options, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See registry.Plans."""
        return _plan(work_dir, options, tasks, Recorder(Local.where, os.path.realpath(Path.home())))

    @staticmethod
    def here() -> str:
        """See registry.Looks."""
        return _found_here()


class SshBatch:
    """The batch system of another machine, or that machine itself: CE type `SSH`."""

    OPTIONS: ClassVar[Sequence[Option]] = _options(table_of(SshSettings))

    @classmethod
    def from_options(cls, work_dir: Path, options: Options) -> BatchCE:
        """See registry.Backend."""
        batch_options.need_variables(_with_variables(options))
        return _build(work_dir, options, Ssh(_login(options)))

    @classmethod
    def plan(cls, work_dir: Path, options: Options, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See registry.Plans."""
        return _plan(work_dir, options, tasks, Recorder(_login(options).host))

    @staticmethod
    def here() -> str:
        """See registry.Looks."""
        return "yes" if shutil.which("ssh") else "no: there is no ssh (Debian: apt-get install openssh-client)"


def _login(options: Options) -> Login:
    settings = value_of(SshSettings, options)
    if not settings.host:
        raise CEMisconfigured("option SSHHost of CE type SSH is not set: expected the host to log in to")
    return Login(
        host=settings.host,
        user=settings.user,
        port=settings.port,
        key=os.path.expandvars(settings.key),
        jump=settings.jump,
        options=batch_options.shell_words("SSHOptions", settings.options),
    )


def _build(work_dir: Path, options: Options, transport: Transport) -> BatchCE:
    name, settings = value_of(PlaceSettings, options).batch_system, value_of(BatchSettings, options)
    _refuse_foreign(name, options)
    system = dialect(name)(transport, batch_options.needs(settings), timeout_s=settings.timeout_s, options=options)
    spool_type = StagedSpool if name in STAGING else Spool
    area, launcher = _area(settings.shared_area), batch_options.image_launcher(settings)
    spool = spool_type(transport, area, work_dir / "moving", cap=cap(settings), launcher=launcher)
    return BatchCE(name, system, transport, spool, TaskBook(work_dir / "tasks.sqlite"), bounds(settings))


def batch_system_of(option: str) -> str:
    """Return the batch system that has an option of its own by this name, "" if none has."""
    return next((name for name in sorted(SYSTEMS) for own in dialect(name).OPTIONS if own.name == option), "")


def _refuse_foreign(name: str, options: Options) -> None:
    """Let no option of another batch system be set: whoever wrote it expects an effect.

    Raises:
        CEMisconfigured: there is one.
    """
    own = {option.name for option in dialect(name).OPTIONS}
    for other in sorted(SYSTEMS):
        for option in dialect(other).OPTIONS:
            if option.name not in own and options[option.name] != option.default:
                raise CEMisconfigured(
                    f"option {option.name} is for BatchSystem = {other}, and BatchSystem is {name}: "
                    "take it away, or name the batch system that is meant"
                )


def _plan(work_dir: Path, options: Options, tasks: Sequence[TaskSpec], recorder: Recorder) -> Sequence[str]:
    return steps(_build(work_dir, options, recorder), recorder, tasks)


def steps(ce: BatchCE, recorder: Records, tasks: Sequence[TaskSpec]) -> Sequence[str]:
    """Return what a CE does with tasks, each of its steps once."""
    try:
        ce.submit(tasks)
        ce.look()
    finally:
        ce.close()
    return list(dict.fromkeys(recorder.steps))


def _found_here() -> str:
    found = [name for name in sorted(SYSTEMS) if (command := dialect(name).COMMAND) and shutil.which(command)]
    return f"yes: Host{''.join(f', {name}' for name in found)}"


def _with_variables(options: Options) -> Mapping[str, str]:
    """Return the options in which variables of this machine may stand."""
    shared_area = _below_home(value_of(BatchSettings, options).shared_area)
    return {"SSHKey": value_of(SshSettings, options).key, "SharedArea": shared_area}


def _area(written: str) -> str:
    """Return the directory; a home is that of the user there, where relative paths begin."""
    return os.path.expandvars(_below_home(written))


def _below_home(written: str) -> str:
    for home in ("$HOME/", "${HOME}/", "~/"):
        written = written.removeprefix(home)
    return written


def cap(settings: BatchSettings) -> Cap:
    """Return how much of a task's log output is brought back."""
    return Cap(settings.output_limit_mb * BYTES_PER_MB)


def bounds(settings: BatchSettings) -> Bounds:
    """Return how much, how often, how long."""
    return Bounds(
        processors=settings.processors,
        gpus=settings.gpus,
        wall_s=settings.wall_s,
        most_tasks=settings.most_tasks,
        most_waiting=settings.most_waiting,
        interval_s=settings.interval_s,
        patience=Patience(lost_after_s=settings.lost_after_s, exit_code_s=settings.exit_code_wait_s),
    )
