"""What can be set for the CE types that start payloads in containers, in DIRAC's words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ce_backends.containers.binds import Bind
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, OptionValue
from ce_backends.readers import comma_list

_BIND = "expected SOURCE, SOURCE:::TARGET or SOURCE:::TARGET:::ro, with absolute paths"


def container_options(*, root: str, root_doc: str, program: str) -> Sequence[Option]:
    """Return the table of a container runtime.

    Args:
        root: what ContainerRoot is when it is not set.
        root_doc: what it means there.
        program: what is looked for when ContainerBin is not set.
    """
    return (
        Option(name="ContainerRoot", kind=str, default=root, doc=root_doc),
        Option(name="ContainerBin", kind=str, default="", doc=f"The runtime's program; when it is not set, {program}."),
        Option(
            name="ContainerBind",
            kind=str,
            default="",
            doc="What payloads see of the node besides, comma separated: SOURCE, SOURCE:::TARGET or "
            "SOURCE:::TARGET:::ro. What the node does not have is left out.",
        ),
        Option(
            name="ContainerOptions",
            kind=str,
            default="",
            doc="Further options of the runtime, comma separated. They can undo what keeps payloads apart.",
        ),
        Option(
            name="HiddenPaths",
            kind=str,
            default="",
            doc="Files and directories that payloads do not see, also where they lie below something that they see; "
            "comma separated. The agent names its own directory and its credentials.",
        ),
    )


def words(options: Mapping[str, OptionValue | None], name: str) -> list[str]:
    """Return a comma separated list."""
    return list(comma_list(str(options[name] or "")))


def binds(options: Mapping[str, OptionValue | None]) -> list[Bind]:
    """Return what ContainerBind asks for, writable unless it says `ro`, as the runtimes have it.

    Raises:
        CEMisconfigured: one is not of this form.
    """
    return [_bind(text) for text in words(options, "ContainerBind")]


def _bind(text: str) -> Bind:
    source, *more = text.split(":::" if ":::" in text else ":")
    target = more.pop(0) if more and more[0] not in ("ro", "rw") else source
    mode = more.pop(0) if more else "rw"
    if more or mode not in ("ro", "rw") or not (source.startswith("/") and target.startswith("/")):
        raise CEMisconfigured(f"option ContainerBind: {text}: {_BIND}")
    return Bind(Path(source), Path(target), is_writable=mode == "rw")
