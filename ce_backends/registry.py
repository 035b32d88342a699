"""CE types by name: our own and those of other distributions."""

import functools
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from ce_backends.base import ComputingElement, TaskSpec
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, OptionValue, parse_options
from ce_backends.readers import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "gridpilot.ce_backends"
_BUILT_IN = {
    "AREX": "ce_backends.ce_types.arex:AREX",
    "Cloud": "ce_backends.ce_types.cloud:CloudCE",
    "HTCondorCE": "ce_backends.ce_types.htcondor_ce:HTCondorCE",
    "InProcess": "ce_backends.pool.ce:InProcess",
    "Bubblewrap": "ce_backends.ce_types.container_pools:BUBBLEWRAP",
    "Local": "ce_backends.ce_types.local_and_ssh:LocalBatch",
    "Podman": "ce_backends.ce_types.container_pools:PODMAN",
    "Pool": "ce_backends.pool.ce:Pool",
    "Pool/Bubblewrap": "ce_backends.ce_types.container_pools:POOL_BUBBLEWRAP",
    "Pool/Podman": "ce_backends.ce_types.container_pools:POOL_PODMAN",
    "Pool/InProcess": "ce_backends.pool.ce:Pool",  # DIRAC's way to say it
    "Pool/Singularity": "ce_backends.ce_types.container_pools:POOL_SINGULARITY",
    "SSH": "ce_backends.ce_types.local_and_ssh:SshBatch",
    "Singularity": "ce_backends.ce_types.container_pools:SINGULARITY",
}


class Backend(Protocol):
    """What an entry point must name: usually the class of the CE, with these as class attribute and class method."""

    OPTIONS: Sequence[Option]

    def from_options(self, work_dir: Path, options: Mapping[str, OptionValue | None]) -> ComputingElement:
        """Return a CE that keeps all it must remember below `work_dir`; there is a value for every option."""


@runtime_checkable
class Plans(Protocol):
    """A backend that can tell what it would do with tasks, without doing it."""

    def plan(
        self, work_dir: Path, options: Mapping[str, OptionValue | None], tasks: Sequence[TaskSpec]
    ) -> Sequence[str]:
        """Return its steps, a line each."""


@runtime_checkable
class Looks(Protocol):
    """A backend that can tell whether it can be used on this machine."""

    def here(self) -> str:
        """Return `yes`, or `no` and the reason, in one line."""


def ce_types() -> list[str]:
    """Return the names of all CE types there are."""
    return sorted({*_others(), *_BUILT_IN})


def origin(ce_type: str) -> str:
    """Return which distribution a CE type comes from."""
    if ce_type in _BUILT_IN:
        return "gridpilot"
    point = _others()[ce_type]
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def _others() -> dict[str, "EntryPoint"]:
    """Return the entry points of other distributions by name: a look at all that is installed, which takes its time."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - for who does not ask for a type of ours

    return {point.name: point for point in entry_points(group=GROUP)}


def backend(ce_type: str) -> Backend:
    """Return what makes CEs of this type.

    Raises:
        CEMisconfigured: there is no such type, or its distribution is broken.
    """
    where = _BUILT_IN.get(ce_type) or _of_others(ce_type)
    module, _, name = where.partition(":")
    try:
        loaded = functools.reduce(getattr, filter(None, name.split(".")), import_module(module))
    except (ImportError, AttributeError) as error:
        raise CEMisconfigured(f"CE type {ce_type} cannot be loaded from {where}: {error}") from error
    missing = [name for name in ("OPTIONS", "from_options") if not hasattr(loaded, name)]
    if missing:
        raise CEMisconfigured(f"CE type {ce_type} from {where} has no {' and no '.join(missing)}")
    return cast("Backend", loaded)


def _of_others(ce_type: str) -> str:
    points = _others()
    if ce_type not in points:
        raise CEMisconfigured(f"unknown CE type {ce_type}{did_you_mean(ce_type, [*points, *_BUILT_IN])}")
    return f"{points[ce_type].module}:{points[ce_type].attr}"


def validate(ce_type: str, options: Mapping[str, OptionValue]) -> dict[str, OptionValue | None]:
    """Return the options as the CE would get them.

    Raises:
        CEMisconfigured: the type or an option is wrong; the sentence names the nearest right one.
    """
    return parse_options(backend(ce_type).OPTIONS, options, ce_type)


def create(ce_type: str, options: Mapping[str, OptionValue], work_dir: Path) -> ComputingElement:
    """Return a CE.

    Args:
        ce_type: its type, in DIRAC's spelling.
        options: by name; numbers may be texts.
        work_dir: where it keeps what it must remember; the same after a restart.

    Raises:
        CEMisconfigured: the type or an option is wrong; the sentence names the nearest right one.
    """
    return backend(ce_type).from_options(work_dir, validate(ce_type, options))
