"""Where a DIRAC client may be installed: the files that make a shell find it, in DIRAC's own order."""

import os
import subprocess
from collections.abc import Sequence
from itertools import product

from agents.settings.agent import AgentSettings

_ANSWER_S = 10.0  # CVMFS may hang for ever (cvmfs issue 3375)
_LOOK = 'for file; do [ -f "$file" ] && [ -r "$file" ] && printf "%s" "$file" && exit; done'


def places(
    *, environment: str, prefix: str, cvmfs: Sequence[str], project: str, version: str, machine: str
) -> tuple[str, ...]:
    """Return the files to look for.

    Args:
        environment: DIRAC's preinstalledEnv: the file itself, or the folder that it is in.
        prefix: DIRAC's preinstalledEnvPrefix: the folder of the versions.
        cvmfs: DIRAC's CVMFS_locations.
        project: of the release: an extension of DIRAC, empty for DIRAC itself.
        version: of the release, empty when unknown.
        machine: of the kernel, as in x86_64.
    """
    own = project.lower().removesuffix("dirac")
    projects = dict.fromkeys([f"{own}dirac", "dirac"])
    folders = [prefix] if prefix else []
    folders += [f"{place.rstrip('/')}/{name}" for place, name in product(cvmfs, projects)]
    versions = [each for each in (version, "pro") if each]
    found = [environment, f"{environment.rstrip('/')}/diracosrc"] if environment else []
    found += [f"{folder.rstrip('/')}/{each}/Linux-{machine}/diracosrc" for folder, each in product(folders, versions)]
    return tuple(dict.fromkeys(found))


def places_of(settings: AgentSettings) -> tuple[str, ...]:
    """Return the files that an agent with these settings looks for."""
    return places(
        environment=settings.client_environment,
        prefix=settings.client_prefix,
        cvmfs=settings.cvmfs_folders,
        project=settings.release_project,
        version=settings.release_version,
        machine=os.uname().machine,
    )


def find(files: Sequence[str]) -> str:
    """Return the first of these files that is here, empty if none is, or nobody says so in time."""
    if not files:
        return ""
    child = subprocess.Popen(
        ["/bin/sh", "-c", _LOOK, "sh", *files],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        return child.communicate(timeout=_ANSWER_S)[0]
    except subprocess.TimeoutExpired:
        child.kill()  # and not waited for: it may hang in the kernel
        return ""
