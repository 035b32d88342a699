"""What can be set for the CE types that start payloads in containers, in DIRAC's words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ce_backends.containers.binds import Bind
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, setting, table_of
from ce_backends.readers import comma_list

_BIND = "expected SOURCE, SOURCE:::TARGET or SOURCE:::TARGET:::ro, with absolute paths"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSettings:
    """What can be set for every container runtime; `container_options` says what each makes of the first two."""

    root: str = setting(Option(name="ContainerRoot", kind=str, default="", doc=""))
    program: str = setting(Option(name="ContainerBin", kind=str, default="", doc=""))
    binds: str = setting(
        Option(
            name="ContainerBind",
            kind=str,
            default="",
            doc="What payloads see of the node besides, comma separated: SOURCE, SOURCE:::TARGET or "
            "SOURCE:::TARGET:::ro. What the node does not have is left out.",
        )
    )
    options: str = setting(
        Option(
            name="ContainerOptions",
            kind=str,
            default="",
            doc="Further options of the runtime, comma separated. They can undo what keeps payloads apart.",
        )
    )
    hidden_paths: str = setting(
        Option(
            name="HiddenPaths",
            kind=str,
            default="",
            doc="Files and directories that payloads do not see, also where they lie below something that they see; "
            "comma separated. The agent names its own directory and its credentials.",
        )
    )


def container_options(*, root: str, root_doc: str, program: str) -> Sequence[Option]:
    """Return the table of a container runtime.

    Args:
        root: what ContainerRoot is when it is not set.
        root_doc: what it means there.
        program: what is looked for when ContainerBin is not set.
    """
    of_root, of_program, *more = table_of(ContainerSettings)
    return (
        replace(of_root, default=root, doc=root_doc),
        replace(of_program, doc=f"The runtime's program; when it is not set, {program}."),
        *more,
    )


def binds(written: str) -> list[Bind]:
    """Return what ContainerBind asks for, writable unless it says `ro`, as the runtimes have it.

    Raises:
        CEMisconfigured: one is not of this form.
    """
    return [_bind(text) for text in comma_list(written)]


def _bind(text: str) -> Bind:
    source, *more = text.split(":::" if ":::" in text else ":")
    target = more.pop(0) if more and more[0] not in ("ro", "rw") else source
    mode = more.pop(0) if more else "rw"
    if more or mode not in ("ro", "rw") or not (source.startswith("/") and target.startswith("/")):
        raise CEMisconfigured(f"option ContainerBind: {text}: {_BIND}")
    return Bind(Path(source), Path(target), is_writable=mode == "rw")
