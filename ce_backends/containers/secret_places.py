"""Where a secret lies: every directory of the node in which it, or what it is replaced by, can be found.

To cover a file is not enough: a credential is renewed by renaming another file over it, and the cover stays on the old
one. So the directory is told that holds it, and for a link each directory on the way, by their real names, and by those
under which they are mounted besides.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.containers.binds import is_below
from ce_backends.linux.small_files import read_small

_MOST_LINKS = 40  # path_resolution(7)
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo: which part of which file system lies where."""

    device: str
    root: Path
    place: Path


def places_of(secret: Path, mounts: Sequence[Mount]) -> list[Path]:
    """Return the directories to hide; none where there is no such file.

    Args:
        secret: a file, or a directory that is secret as a whole; absolute.
        mounts: of this node.
    """
    if secret.is_dir():
        own = Path(os.path.realpath(secret))
        return [own, *_other_names(own, mounts), *_parts_elsewhere(own, mounts)]
    steps = list(_steps(secret)) if os.path.lexists(secret) else []
    names = [name for step in steps for name in (step, *_other_names(step, mounts))]
    return list(dict.fromkeys(name.parent for name in names))


def has_hard_links(secret: Path) -> bool:
    """Tell whether a file has further names, which nothing can find."""
    return secret.is_file() and secret.stat().st_nlink > 1


def read_mounts() -> list[Mount]:
    """Return what is mounted here, as this process sees it."""
    lines = read_small("/proc/self/mountinfo").decode("utf-8", "surrogateescape").split("\n")
    fields = (line.split(" ") for line in lines if line)
    return [Mount(parts[2], Path(_unescaped(parts[3])), Path(_unescaped(parts[4]))) for parts in fields]


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def _steps(path: Path) -> Iterator[Path]:
    """Yield a path and what it links to, one link after the other, each in a directory named by its real name."""
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent), path.name)
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()


def _other_names(path: Path, mounts: Sequence[Mount]) -> Iterator[Path]:
    """Yield the names that a file or directory has besides, because what holds it is mounted in several places."""
    device, inside = _in_its_file_system(path, mounts)
    for mount in mounts:
        if mount.device == device and is_below(inside, mount.root):
            other = mount.place / inside.relative_to(mount.root)
            if other != path and _is_same(other, path):
                yield other


def _parts_elsewhere(directory: Path, mounts: Sequence[Mount]) -> Iterator[Path]:
    """Yield where something that lies in a directory is mounted by itself."""
    device, inside = _in_its_file_system(directory, mounts)
    for mount in mounts:
        if mount.device == device and inside in mount.root.parents and directory not in mount.place.parents:
            yield mount.place if mount.place.is_dir() else mount.place.parent


def _in_its_file_system(path: Path, mounts: Sequence[Mount]) -> tuple[str, Path]:
    """Return the device that a path lies on, and the path on it; of mounts at one place the last is seen."""
    by_place = {mount.place: mount for mount in mounts}
    here = next((by_place[place] for place in (path, *path.parents) if place in by_place), None)
    return (here.device, here.root / path.relative_to(here.place)) if here else ("", path)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samestat(one.lstat(), other.lstat())
    except OSError:
        return False
