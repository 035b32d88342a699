"""Payloads in Apptainer, or in the Singularity that it was before: DIRAC's Singularity."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from ce_backends.containers.binds import Bind, bind_text, trust_binds
from ce_backends.containers.bubblewrap import directory_trouble, is_program
from ce_backends.containers.options import ContainerSettings, binds, container_options
from ce_backends.containers.payload_user import payload_user
from ce_backends.containers.runtime import ContainerStart, Way
from ce_backends.options import Option, OptionValue, value_of
from ce_backends.readers import comma_list

DEFAULT_IMAGE = "/cvmfs/cernvm-prod.cern.ch/cvm4"  # as in DIRAC
FALLBACK = (
    "/cvmfs/oasis.opensciencegrid.org/mis/apptainer/current/bin:"  # the one that is kept up
    "/cvmfs/oasis.opensciencegrid.org/mis/singularity/current/bin"  # as in DIRAC
)
_ALONE = ("--contain", "--ipc", "--no-home")
_NO_PROCESSES = "payloads see, and may signal, other processes of this user"
_NO_USERS = "without user namespaces, by the set-user-id installation"
_GPU_FLAGS = {"/dev/nvidiactl": "--nv", "/dev/kfd": "--rocm"}
_OF_ROOT = (Way(("--pid", "--no-privs")), Way(("--no-privs",), _NO_PROCESSES))
_WAYS = (
    Way(("--userns", "--pid", "--no-privs")),
    Way(("--userns", "--no-privs"), _NO_PROCESSES),
    Way(("--pid", "--no-privs"), _NO_USERS),
    Way(("--no-privs",), f"{_NO_USERS}; {_NO_PROCESSES}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Singularity:
    """The program apptainer or singularity.

    Attributes:
        program: its path; a plain name when it was not found.
        image: a directory, a file, or what else the program takes.
        binds: what payloads see besides.
        options: further ones for `exec`.
    """

    name: ClassVar[str] = "Singularity"
    OPTIONS: ClassVar[Sequence[Option]] = container_options(
        root=DEFAULT_IMAGE,
        root_doc="Image that payloads run in: a directory, a .sif file, or a URI.",
        program="apptainer or singularity on the PATH, then in OSG's CVMFS (mis/apptainer, mis/singularity)",
    )

    program: str
    image: str
    binds: Sequence[Bind]
    options: Sequence[str]

    @classmethod
    def from_options(cls, options: Mapping[str, OptionValue | None], environ: Mapping[str, str]) -> Self:
        """Return it as the options say."""
        settings = value_of(ContainerSettings, options)
        path = f"{environ.get('PATH', os.defpath)}:{FALLBACK}"
        found = (shutil.which(name, path=path) for name in ("apptainer", "singularity"))
        return cls(
            program=settings.program or next(filter(None, found), "apptainer"),
            image=settings.root,
            binds=(*trust_binds(environ), *binds(settings.binds)),
            options=comma_list(settings.options),
        )

    @property
    def ways(self) -> Sequence[Way]:
        """See Runtime."""
        return _OF_ROOT if payload_user() else _WAYS

    @property
    def root(self) -> Path | None:
        """See Runtime."""
        return Path(self.image) if Path(self.image).is_dir() else None

    @property
    def shown(self) -> Sequence[Bind]:
        """See Runtime."""
        return self.binds

    def trouble(self) -> str:
        """See Runtime."""
        if not is_program(self.program):
            return f"{self.program} is not there: install Apptainer, or name the program (ContainerBin)"
        image = Path(self.image)
        if not image.is_absolute():
            return ""
        if image.is_file():
            return "" if os.access(image, os.R_OK) else f"image {image} (ContainerRoot) cannot be read"
        return directory_trouble(image)

    def argv(self, way: Way, start: ContainerStart) -> list[str]:
        """See Runtime."""
        command = [self.program, "--silent", "exec", *_ALONE, *way.flags]
        command += [f"--security=uid:{start.user.uid},gid:{start.user.gid}"] if start.user else []
        command += ["--workdir", str(start.directory / "tmp"), "--pwd", str(start.directory / "work")]
        for bind in start.view.binds:
            command += ["--bind", bind_text(bind)]
        if start.has_gpus:
            command += [flag for device, flag in _GPU_FLAGS.items() if Path(device).exists()]
        return [*command, *self.options, self.image, "/bin/sh", str(start.directory / "inside")]

    def forget(self, directory: Path, joins: Sequence[Path]) -> None:
        """See Runtime. It keeps nothing."""
