"""What a payload in a container sees of the node: a list of binds, in the order in which they are made."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.errors import CEError

NOTHING = Path("/dev/null")  # bound over a file that must not be read


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the node, at its place in the container."""

    source: Path
    target: Path
    is_writable: bool = False

    @classmethod
    def same(cls, path: Path, *, is_writable: bool = False) -> "Bind":
        """Return a bind at the same place as on the node."""
        return cls(path, path, is_writable)


@dataclass(frozen=True, slots=True)
class View:
    """All of it, for one task.

    Attributes:
        binds: later ones lie over earlier ones.
        places: directories that must be made first, because something is bound into or over them.
    """

    binds: Sequence[Bind]
    places: Sequence[Path]


def bind_text(bind: Bind) -> str:
    """Return a bind as Apptainer and Podman read it.

    Raises:
        CEError: they could not tell where a path ends.
    """
    paths = (str(bind.source), str(bind.target))
    if any(separator in path for path in paths for separator in ":,"):
        raise CEError(f"{bind.source}: the path holds a colon or a comma, which cannot be shown in a container")
    return ":".join((*paths, *(() if bind.is_writable else ("ro",))))


def trust_binds(environ: Mapping[str, str]) -> list[Bind]:
    """Return what payloads need of the node to know whom they talk to, and /cvmfs, as in DIRAC."""
    places = (environ[name] for name in ("X509_CERT_DIR", "X509_VOMS_DIR", "X509_VOMSES") if environ.get(name))
    return [Bind.same(Path("/cvmfs")), *(Bind.same(Path(place)) for place in places)]


def kernel_binds() -> list[Bind]:
    """Return what has to lie over /proc where payloads are root's: its owner may write there without any capability."""
    if os.geteuid() != 0:
        return []
    trigger = Path("/proc/sysrq-trigger")
    return [Bind.same(Path("/proc/sys")), *([Bind(NOTHING, trigger)] if trigger.exists() else [])]


def is_below(path: Path, other: Path) -> bool:
    """Tell whether a path is another one or lies below it."""
    return path == other or other in path.parents


def view_of(task: Path, shown: Iterable[Bind], hidden: Iterable[Path]) -> View:
    """Return what one task sees: what is shown, without what is hidden, and its own directory at its own place.

    A hidden directory is covered by an empty one, a hidden file by nothing. What is shown below a hidden directory by
    a bind of its own stays to be seen.

    Args:
        task: the task's directory.
        shown: in order; what the node does not have is left out.
        hidden: absolute; what does not lie below anything shown needs no cover.
    """
    there = [bind for bind in shown if bind.source.exists()]
    secret = [path for path in hidden if path.exists()]
    inner = [bind for bind in there if any(is_below(bind.target, path) for path in secret)]
    outer = [bind for bind in there if bind not in inner]
    inner.append(Bind.same(task, is_writable=True))
    covers, places = [], []
    for number, (target, is_directory) in enumerate(_covered(outer, secret)):
        cover = task / "covers" / str(number)
        covers.append(Bind(cover if is_directory else NOTHING, target))
        if is_directory:
            within = [bind.target.relative_to(target) for bind in inner if is_below(bind.target, target)]
            places += [cover, *(cover / path for path in within)]
    return View([*outer, *covers, *inner], places)


def _covered(shown: Sequence[Bind], secret: Sequence[Path]) -> list[tuple[Path, bool]]:
    """Return where in the container hidden things would be seen, and which of them are directories."""
    found = {
        bind.target / path.relative_to(bind.source): path.is_dir()
        for path in secret
        for bind in shown
        if is_below(path, bind.source)
    }
    return sorted(found.items())  # an outer one before what lies in it
