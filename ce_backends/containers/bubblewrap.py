"""Payloads in bubblewrap: the node's own system, or a directory with another one, read-only and in user namespaces."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from ce_backends.containers.binds import Bind, is_below, trust_binds
from ce_backends.containers.options import ContainerSettings, binds, container_options
from ce_backends.containers.payload_user import payload_user
from ce_backends.containers.runtime import ContainerStart, Way
from ce_backends.options import Option, OptionValue, value_of
from ce_backends.readers import comma_list

# Of the node's own system: programs, libraries, settings, software areas. No home, no scratch, no /run, no /var.
_ROOT_PARTS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "opt", "sys", "var/lib/sss")
SYSTEM = tuple(Path("/", part) for part in _ROOT_PARTS)
# Over an image's own, so that names are found and people have theirs.
_FROM_NODE = tuple(map(Path, ("/etc/resolv.conf", "/etc/hosts", "/etc/passwd", "/etc/group", "/etc/localtime")))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - those of the container
_OWN = (Path("/dev"), Path("/proc"), *_TEMPORARY)  # of every payload
_GPU_DEVICES = ("nvidia*", "nvidia-caps/*", "dri/*", "kfd")
_SETPRIV = "setpriv"
_OPENED = Path("/mnt")  # of every node's, and of the first container alone
_ALONE = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-cgroup-try",
    "--die-with-parent",
    "--cap-drop",
    "ALL",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bubblewrap:
    """The program bwrap.

    Attributes:
        program: its path; a plain name when it was not found.
        image: a directory with a system; None for the node's own.
        binds: what payloads see besides.
        options: further ones for bwrap.
    """

    name: ClassVar[str] = "bubblewrap"
    OPTIONS: ClassVar[Sequence[Option]] = container_options(
        root="",
        root_doc="Directory with the system that payloads see; when it is not set, the node's own: "
        + " ".join(map(str, SYSTEM))
        + ".",
        program="bwrap on the PATH",
    )

    program: str
    image: Path | None
    binds: Sequence[Bind]
    options: Sequence[str]

    @classmethod
    def from_options(cls, options: Mapping[str, OptionValue | None], environ: Mapping[str, str]) -> Self:
        """Return it as the options say."""
        settings = value_of(ContainerSettings, options)
        return cls(
            program=settings.program or shutil.which("bwrap", path=environ.get("PATH")) or "bwrap",
            image=Path(settings.root) if settings.root else None,
            binds=(*trust_binds(environ), *binds(settings.binds)),
            options=comma_list(settings.options),
        )

    @property
    def ways(self) -> Sequence[Way]:
        """See Runtime."""
        return (Way(),)

    @property
    def shown(self) -> Sequence[Bind]:
        """See Runtime. An image's own parts are left to `argv`."""
        if self.image:
            own = [Bind(Path(os.path.realpath(path)), path) for path in _FROM_NODE]
        else:
            own = [Bind.same(path) for path in SYSTEM if not path.is_symlink()]
            own.append(Bind.same(Path(os.path.realpath("/etc/resolv.conf"))))  # systemd's lies below /run
        return [*own, *self.binds]

    @property
    def root(self) -> Path | None:
        """See Runtime."""
        return self.image

    def trouble(self) -> str:
        """See Runtime."""
        if not is_program(self.program):
            return f"{self.program} is not there: install bubblewrap, or name the program (ContainerBin)"
        if payload_user() and not shutil.which(_SETPRIV):
            return f"{_SETPRIV} is not there, without which a pilot of root cannot start payloads: install util-linux"
        return directory_trouble(self.image) if self.image else ""

    def argv(self, way: Way, start: ContainerStart) -> list[str]:
        """See Runtime."""
        opened = _Opened(self.program, start, self.image) if start.user else None
        seen = opened.name if opened else str
        targets = [bind.target for bind in start.view.binds]
        command = [*(opened.argv if opened else ()), self.program, *_ALONE, *way.flags]
        command += _parts(self.image, Path("/"), [*targets, *_OWN], seen) if self.image else _links(SYSTEM)
        for target in _TEMPORARY:
            command += ["--bind", seen(start.directory / "tmp"), str(target)]
        for bind in start.view.binds:
            command += ["--bind" if bind.is_writable else "--ro-bind", seen(bind.source), str(bind.target)]
        if start.has_gpus:
            command += [word for device in gpu_devices() for word in ("--dev-bind-try", device, device)]
        inside = ["/bin/sh", str(start.directory / "inside")]
        return [*command, *self.options, "--chdir", str(start.directory / "work"), "--", *inside]

    def forget(self, directory: Path, joins: Sequence[Path]) -> None:
        """See Runtime. It keeps nothing."""


class _Opened:
    """A first container, of root's, in which another user finds what root could reach only; he starts the second there.

    Args:
        program: bwrap.
        start: with the user.
        image: directory with a system, if there is one.
    """

    def __init__(self, program: str, start: ContainerStart, image: Path | None) -> None:
        assert start.user
        sources = dict.fromkeys([start.directory, *filter(None, [image]), *(bind.source for bind in start.view.binds)])
        self._names = {source: _OPENED / str(number) for number, source in enumerate(sources)}
        self.argv = [program, "--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", str(_OPENED)]
        for source, name in self._names.items():
            self.argv += ["--bind", str(source), str(name)]
        user = (f"--reuid={start.user.uid}", f"--regid={start.user.gid}", "--clear-groups")
        self.argv += ["--", _SETPRIV, *user, "--"]

    def name(self, source: Path) -> str:
        """Return what something has to be called in there."""
        place = next(place for place in (source, *source.parents) if place in self._names)
        return str(self._names[place] / source.relative_to(place))


def is_program(path: str) -> bool:
    """Tell whether there is a program that may be started."""
    return Path(path).is_file() and os.access(path, os.X_OK)


def directory_trouble(image: Path) -> str:
    """Return what is wrong with a directory that should hold a system, empty if nothing can be seen."""
    try:
        if not image.is_dir():
            return f"image {image} (ContainerRoot) is not there" if not image.exists() else f"{image} is no directory"
        next(image.iterdir(), None)
    except OSError as error:
        return f"image {image} (ContainerRoot) cannot be read: {error.strerror}"
    shell = image / "bin/sh"
    return "" if os.path.lexists(shell) else f"image {image} (ContainerRoot) has no /bin/sh: it is empty or damaged"


def _links(places: Sequence[Path]) -> list[str]:
    """Make the links that the node's system has in its root: /bin to usr/bin."""
    links = [place for place in places if place.is_symlink()]
    return [word for place in links for word in ("--symlink", str(place.readlink()), str(place))]


def _parts(source: Path, at: Path, targets: Sequence[Path], seen: Callable[[Path], str]) -> Iterator[str]:
    """Show an image piece by piece: nothing can be bound into a read-only directory that has no place for it."""
    for entry in sorted(source.iterdir()):
        place = at / entry.name
        if place in targets:
            continue
        if any(is_below(target, place) for target in targets):
            if entry.is_dir() and not entry.is_symlink():
                yield from _parts(entry, place, targets, seen)
        elif entry.is_symlink():
            yield from ("--symlink", str(entry.readlink()), str(place))
        else:
            yield from ("--ro-bind", seen(entry), str(place))


def gpu_devices() -> list[str]:
    """Return the device files of all GPUs of the node; control groups and variables say which a task uses."""
    return sorted(str(path) for pattern in _GPU_DEVICES for path in Path("/dev").glob(pattern))
