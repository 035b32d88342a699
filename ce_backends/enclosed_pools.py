"""The CE types whose payloads run in containers: a pool of them, or one at a time as DIRAC's inner CE `Singularity`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ce_backends.bubblewrap import Bubblewrap
from ce_backends.container_options import words
from ce_backends.enclosure import Enclosure, Runtime
from ce_backends.options import Option, OptionValue
from ce_backends.pool import InProcess, Pool
from ce_backends.singularity import Singularity


class RuntimeType(Protocol):
    """The class of a runtime."""

    OPTIONS: Sequence[Option]

    def from_options(self, options: Mapping[str, OptionValue | None], environ: Mapping[str, str]) -> Runtime:
        """Return it as the options say."""


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A kind of pool with a kind of container; see registry.Backend."""

    pool: type[Pool]
    runtime: RuntimeType

    @property
    def OPTIONS(self) -> Sequence[Option]:  # noqa: N802 - the name of registry.Backend
        """Those of both."""
        return (*self.pool.OPTIONS, *self.runtime.OPTIONS)

    def from_options(self, work_dir: Path, options: Mapping[str, OptionValue | None]) -> Pool:
        """See registry.Backend."""
        hidden = [Path(path) for path in words(options, "HiddenPaths")]
        enclosure = Enclosure(self.runtime.from_options(options, os.environ), hidden, environ=os.environ)
        return self.pool.from_options(work_dir, options, enclosure=enclosure)


POOL_SINGULARITY = Enclosed(Pool, Singularity)
SINGULARITY = Enclosed(InProcess, Singularity)
POOL_BUBBLEWRAP = Enclosed(Pool, Bubblewrap)
BUBBLEWRAP = Enclosed(InProcess, Bubblewrap)
