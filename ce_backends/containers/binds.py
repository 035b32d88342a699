"""What a payload in a container sees of the node: a list of binds, in the order in which they are made."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.errors import CEError

_COVER = Path()  # stands for an empty directory


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
        files: empty files, likewise.
    """

    binds: Sequence[Bind]
    places: Sequence[Path]
    files: Sequence[Path] = ()


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


def is_below(path: Path, other: Path) -> bool:
    """Tell whether a path is another one or lies below it."""
    return path == other or other in path.parents


def view_of(task: Path, shown: Iterable[Bind], hidden: Mapping[Path, Path], image: Path | None = None) -> View:
    """Return what one task sees: what is shown, without what is hidden, and its own directory at its own place.

    A hidden directory is covered by an empty one. What is shown in or below a hidden directory by a bind of its own
    stays to be seen.

    Args:
        task: the task's directory.
        shown: what the node does not have is left out; of two at one place the later one is seen.
        hidden: directories by their real names, each with the secret for which it is hidden.
        image: directory that is the container's root, where it is one of the node's.

    Raises:
        CEError: a secret can only be hidden with all that is shown to payloads.
    """
    there = sorted((bind for bind in shown if bind.source.exists()), key=lambda bind: len(bind.target.parts))
    layers = [(Bind(image, Path("/")), False)] if image else []
    layers += [(bind, True) for bind in there]
    binds: list[Bind] = []
    for bind, is_bound in layers:
        binds += [bind] if is_bound else []
        binds += [Bind(_COVER, target) for target in _covered(bind, hidden)]
    return _laid_out(task, [*binds, Bind.same(task, is_writable=True)])


def _covered(bind: Bind, hidden: Mapping[Path, Path]) -> list[Path]:
    """Return where in the container the hidden directories would be seen in a bind.

    Raises:
        CEError: one of them is all of it.
    """
    source = Path(os.path.realpath(bind.source))
    for place, secret in hidden.items():
        if source == place or (source.is_file() and secret.is_file() and source.samefile(secret)):
            raise CEError(
                f"payloads would see {secret}, because {bind.source} is shown to them: "
                "move it into a directory of its own, or show them something else"
            )
    targets = sorted(bind.target / place.relative_to(source) for place in hidden if is_below(place, source))
    return [target for target in targets if not any(other in target.parents for other in targets)]


def _laid_out(task: Path, binds: Sequence[Bind]) -> View:
    """Give each cover an empty directory, with a place in it for whatever is bound there later."""
    made: list[Bind] = []
    places: list[Path] = []
    files: list[Path] = []
    for number, bind in enumerate(binds):
        if bind.source != _COVER:
            made.append(bind)
            continue
        cover = task / "covers" / str(len(places) + len(files))
        made.append(Bind(cover, bind.target))
        places.append(cover)
        for later in binds[number + 1 :]:
            if bind.target in later.target.parents:
                spot = cover / later.target.relative_to(bind.target)
                (files if later.source.is_file() else places).append(spot)
    return View(made, places, files)
