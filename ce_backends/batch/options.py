"""What can be set for a CE in front of a batch system, in DIRAC's words."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, OptionValue, setting, table_of
from ce_backends.readers import MOST_PROCESSORS
from ce_backends.task import image as images

Options = Mapping[str, OptionValue | None]
NONE: Options = {}
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)  # as os.path.expandvars reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What all jobs of a CE have in common.

    Attributes:
        queue: of the batch system; empty for its default.
        account: to be charged; empty for the default.
        whole_node: nobody else's job runs beside ours.
        nodes: of each job, `2` or `1-4`.
        gpus: of each job whose task does not say.
        submit_options: more arguments of the submit command.
    """

    queue: str = ""
    account: str = ""
    whole_node: bool = False
    nodes: str = "1"
    gpus: int = 0
    submit_options: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """What can be set for every CE in front of a batch system."""

    queue: str = setting(
        Option(name="Queue", kind=str, default="", doc="Queue (partition) of the batch system; its default if empty.")
    )
    account: str = setting(Option(name="Account", kind=str, default="", doc="Account or project that is charged."))
    submit_options: str = setting(
        Option(
            name="SubmitOptions",
            kind=str,
            default="",
            doc="More arguments of the submit command, quoted as for a shell; they go to no shell.",
            is_quoted=True,
        )
    )
    processors: int = setting(
        Option(
            name="NumberOfProcessors",
            kind=int,
            maximum=MOST_PROCESSORS,
            default=1,
            minimum=1,
            doc="Processors of one task; what a free place offers.",
        )
    )
    whole_node: bool = setting(
        Option(name="WholeNode", kind=bool, default=False, doc="Exclusive node: nobody else's jobs run there.")
    )
    nodes: str = setting(
        Option(name="NumberOfNodes", kind=str, default="1", doc="Nodes of each task, 2 or 1-4 (Slurm only beyond 1).")
    )
    wall_s: int = setting(
        Option(
            name="WallTime",
            kind=int,
            default=0,
            unit="s",
            minimum=0,
            doc="Asked for a task that has no wall limit of its own; the queue's own limit if 0.",
        )
    )
    gpus: int = setting(
        Option(
            name="NumberOfGPUs", kind=int, default=0, minimum=0, doc="GPUs of a task that does not ask for any itself."
        )
    )
    shared_area: str = setting(
        Option(
            name="SharedArea",
            kind=str,
            default="gridpilot-tasks",
            doc="Directory that the submit host and the nodes share, where tasks lie; below the home if not absolute. "
            "Each CE needs one of its own.",
        )
    )
    container_launcher: str = setting(images.OPTION)
    most_tasks: int = setting(
        Option(name="MaxTotalJobs", kind=int, default=1000, minimum=1, doc="Maximum number of unfinished tasks.")
    )
    most_waiting: int = setting(
        Option(name="MaxWaitingJobs", kind=int, default=1000, minimum=1, doc="Maximum number of these that wait.")
    )
    interval_s: float = setting(
        Option(
            name="StatusInterval",
            kind=float,
            default=30.0,
            unit="s",
            minimum=0,
            doc="Between two questions to the batch system; each is one command for all tasks.",
        )
    )
    lost_after_s: float = setting(
        Option(
            name="LostAfter",
            kind=float,
            default=3600.0,
            unit="s",
            minimum=0,
            doc="A task that the batch system has not known for so long, and that left no exit code, is Failed "
            "as lost.",
        )
    )
    exit_code_wait_s: float = setting(
        Option(
            name="ExitCodeWait",
            kind=float,
            default=60.0,
            unit="s",
            minimum=0,
            doc="For the exit code of an ended task to be seen through the shared file system.",
        )
    )
    timeout_s: float = setting(
        Option(name="CommandTimeout", kind=float, default=60.0, unit="s", minimum=1, doc="Timeout of one command.")
    )
    output_limit_mb: int = setting(
        Option(
            name="OutputLimit",
            kind=int,
            default=64,
            unit="MB",
            minimum=1,
            doc="What is brought of a task's standard output, and of its standard error: the first and the last half.",
        )
    )


OPTIONS = table_of(BatchSettings)


def needs(settings: BatchSettings) -> Needs:
    """Return what all jobs have in common.

    Raises:
        CEMisconfigured: SubmitOptions has an open quotation.
    """
    return Needs(
        queue=settings.queue,
        account=settings.account,
        whole_node=settings.whole_node,
        nodes=settings.nodes,
        gpus=settings.gpus,
        submit_options=shell_words("SubmitOptions", settings.submit_options),
    )


def image_launcher(settings: BatchSettings) -> images.ImageLauncher:
    """Return what starts tasks in the images that they ask for.

    Raises:
        CEMisconfigured: ContainerLauncher cannot start anything.
    """
    written = settings.container_launcher
    return images.launcher_of(written, shell_words(images.OPTION.name, written))


def shell_words(name: str, written: str) -> Sequence[str]:
    """Return the words of an option's value, quoted as for a shell.

    Raises:
        CEMisconfigured: a quotation is open.
    """
    try:
        return shlex.split(written)
    except ValueError as error:
        raise CEMisconfigured(f"option {name} is {written!r}: {str(error).lower()}") from error


def need_variables(written: Mapping[str, str]) -> None:
    """Go on only if all variables in these options, by name, are set.

    Raises:
        CEMisconfigured: one is not.
    """
    sentences = [
        f"option {name} is {value}, and the environment variable {variable} is not set: "
        "set it, or write the value itself"
        for name, value in written.items()
        for variable in map("".join, _VARIABLE.findall(value))
        if variable not in os.environ
    ]
    if sentences:
        raise CEMisconfigured("; ".join(sentences))
