"""The CE types whose payloads run in containers: a pool of them, or one at a time as DIRAC's inner CE `Singularity`."""

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ce_backends.base import TaskSpec
from ce_backends.containers.bubblewrap import Bubblewrap
from ce_backends.containers.options import ContainerSettings
from ce_backends.containers.podman import Podman
from ce_backends.containers.runtime import Containers, Runtime
from ce_backends.containers.singularity import Singularity
from ce_backends.options import Option, OptionValue, parse_options, value_of
from ce_backends.pool.ce import InProcess, Pool
from ce_backends.readers import comma_list


class RuntimeType(Protocol):
    """The class of a runtime."""

    OPTIONS: Sequence[Option]

    def from_options(self, options: Mapping[str, OptionValue | None], environ: Mapping[str, str]) -> Runtime:
        """Return it as the options say."""


@dataclass(frozen=True, slots=True)
class ContainerPool:
    """A kind of pool with a kind of container; see registry.Backend."""

    pool: type[Pool]
    runtime: RuntimeType

    @property
    def OPTIONS(self) -> Sequence[Option]:  # noqa: N802 - the name of registry.Backend
        """Those of both."""
        return (*self.pool.OPTIONS, *self.runtime.OPTIONS)

    def from_options(self, work_dir: Path, options: Mapping[str, OptionValue | None]) -> Pool:
        """See registry.Backend."""
        return self.pool.from_options(work_dir, options, containers=self._containers(options))

    def here(self) -> str:
        """See registry.Looks. A container is started, in the image that is the default."""
        with tempfile.TemporaryDirectory(prefix="gridpilot-look-") as scratch:
            trouble = self._containers(parse_options(self.OPTIONS, {}, "")).trouble(Path(scratch))
        return f"no: {trouble}" if trouble else "yes"

    def plan(
        self, work_dir: Path, options: Mapping[str, OptionValue | None], tasks: Sequence[TaskSpec]
    ) -> Sequence[str]:
        """See registry.Plans."""
        containers = self._containers(options)
        return [shlex.join(containers.plan(task, work_dir / task.stamp)) for task in tasks]

    def _containers(self, options: Mapping[str, OptionValue | None]) -> Containers:
        hidden = [Path(path) for path in comma_list(value_of(ContainerSettings, options).hidden_paths)]
        return Containers(self.runtime.from_options(options, os.environ), hidden, environ=os.environ)


POOL_SINGULARITY = ContainerPool(Pool, Singularity)
SINGULARITY = ContainerPool(InProcess, Singularity)
POOL_BUBBLEWRAP = ContainerPool(Pool, Bubblewrap)
BUBBLEWRAP = ContainerPool(InProcess, Bubblewrap)
POOL_PODMAN = ContainerPool(Pool, Podman)
PODMAN = ContainerPool(InProcess, Podman)
