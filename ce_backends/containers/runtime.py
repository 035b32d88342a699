"""Starting payloads in containers: each task of a pool becomes `RUNTIME … /bin/sh inside`, and all else stays as it is.

The runtime runs with an environment of its own, so that no variable of a job has an effect outside; the payload gets
exactly its task's variables inside. That the node can do it is found out by doing it once, before any job is asked for.
"""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ce_backends.base import TaskSpec
from ce_backends.containers.binds import Bind, View, is_below, view_of
from ce_backends.containers.entrypoint import Launch, prepare_inside
from ce_backends.containers.payload_user import PayloadUser, payload_user
from ce_backends.containers.secret_places import has_hard_links, places_of, read_mounts
from ce_backends.errors import CEError
from ce_backends.linux.command import NOWHERE, Around, run
from ce_backends.linux.removal import remove_tree
from ce_backends.linux.small_files import read_small
from ce_backends.task.image import other_than
from ce_backends.task.script import COOKIE, DEFAULT_PATH
from ce_backends.untrusted.text import lines_of

PROBE_S = 300.0  # a cold image on a network file system, or one that has to be fetched
TRY_AGAIN_S = 60.0
_PROBE_EXIT_CODE = 43
_TEMPORARY = Path("/tmp")  # noqa: S108 - in the container
_ROOTS_HINT = " (the pilot is root: where root may not make containers, start it as another user)"
_OURS = ("PATH", "HOME", "XDG_RUNTIME_DIR")  # of the agent's variables, what a runtime is given
_KNOBS = {
    "user/max_user_namespaces": "0",
    "kernel/unprivileged_userns_clone": "0",
    "kernel/apparmor_restrict_unprivileged_userns": "1",
}  # sysctls that forbid user namespaces, with the value that does; Linux, Debian, Ubuntu


@dataclass(frozen=True, slots=True)
class Way:
    """One way to use a runtime.

    Attributes:
        flags: its options.
        lacks: what this way does not give, empty for the best.
        unkept: clauses of the contract that are not kept, and why; see base.Admits.
    """

    flags: Sequence[str] = ()
    lacks: str = ""
    unkept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStart:
    """What a runtime is to start.

    Attributes:
        stamp: of the task.
        directory: of the task, absolute; seen at the same place.
        view: what of the node is seen.
        joins: the `cgroup.procs` files its processes enter.
        has_gpus: devices of GPUs are to be seen.
        memory_mb: limit, 0 for none; for a runtime that leaves the task's control groups.
        processor_ids: which processors it may run on; likewise.
        user: whose processes the payload's are; None for the pilot's own.
    """

    stamp: str
    directory: Path
    view: View
    user: PayloadUser | None = None
    joins: Sequence[Path] = ()
    has_gpus: bool = False
    memory_mb: int = 0
    processor_ids: Sequence[int] = ()


class Runtime(Protocol):
    """A program that starts containers."""

    @property
    def name(self) -> str:
        """What it is called in sentences."""

    @property
    def program(self) -> str:
        """The path of what is run."""

    @property
    def shown(self) -> Sequence[Bind]:
        """What every payload sees of the node."""

    @property
    def ways(self) -> Sequence[Way]:
        """How it can be used, best first."""

    @property
    def image(self) -> str | Path | None:
        """What all payloads run in, as ContainerRoot names it."""

    @property
    def root(self) -> Path | None:
        """The directory that is a container's root, None where it is none of the node's."""

    def trouble(self) -> str:
        """Return what can be seen to be wrong without starting it, empty if nothing."""

    def argv(self, way: Way, start: ContainerStart) -> list[str]:
        """Return the command that runs `/bin/sh DIRECTORY/inside` in a container, in DIRECTORY/work."""

    def forget(self, directory: Path, joins: Sequence[Path]) -> None:
        """Remove what it keeps of a task that was killed.

        Args:
            directory: of the task.
            joins: the `cgroup.procs` files its processes entered.
        """


class Containers:
    """Starts the tasks of one pool in containers.

    Args:
        runtime: starts the containers.
        hidden: what payloads must not see.
        environ: of the agent, of which the runtime gets a little.
        probe_s: how long the first container may take.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        runtime: Runtime,
        hidden: Sequence[Path],
        *,
        environ: Mapping[str, str],
        probe_s: float = PROBE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime = runtime
        self._hidden = hidden
        self._environment = {name: environ[name] for name in _OURS if name in environ}
        self._probe_s = probe_s
        self._clock = clock
        self._lock = threading.Lock()
        self._way: Way | None = None
        self._trouble = ""
        self._try_again_at = 0.0
        self._last_places: dict[Path, list[Path]] = {}  # of each secret

    @property
    def name(self) -> str:
        """What the runtime is called in sentences."""
        return self._runtime.name

    @property
    def lacks(self) -> str:
        """What the way that works here does not give, empty for all of it."""
        return self._way.lacks if self._way else ""

    @property
    def unkept(self) -> Mapping[str, str]:
        """See base.Admits."""
        return self._way.unkept if self._way else {}

    def problem(self, spec: TaskSpec) -> str:
        """Return why a task can never run in these containers, empty if it may."""
        return other_than(spec.image, str(self._runtime.image or ""))

    def trouble(self, work_dir: Path) -> str:
        """Return why no payload can be started here now, empty if one can.

        Takes as long as a container does to start and end, the first time, after `doubt`, and every minute while it
        fails.
        """
        with self._lock:
            if self._way is None and self._clock() >= self._try_again_at:
                self._trouble = self._runtime.trouble() or self._probe(work_dir)
                self._try_again_at = self._clock() + TRY_AGAIN_S
            return f"{self._runtime.name}: {self._trouble}" if self._way is None else ""

    def doubt(self) -> None:
        """Find out again before the next task: one was not started."""
        with self._lock:
            self._way, self._try_again_at = None, 0.0

    def launch(self, spec: TaskSpec, directory: Path, joins: Sequence[Path]) -> Launch:
        """Return how the payload of a task is started.

        Raises:
            CEError: it cannot be.
        """
        if self._way is None:
            raise CEError(f"{self._runtime.name}: {self._trouble or 'it was not tried yet'}")
        return self._launch(self._way, spec, directory, joins)

    def plan(self, spec: TaskSpec, directory: Path) -> Sequence[str]:
        """Return the command that would start a task in the best way."""
        return self._launch(self._runtime.ways[0], spec, directory, ()).argv

    def _launch(self, way: Way, spec: TaskSpec, directory: Path, joins: Sequence[Path]) -> Launch:
        user = payload_user()
        hidden = self._places_to_hide([directory.parent, *self._hidden], user)
        view = view_of(directory, self._runtime.shown, hidden, self._runtime.root)
        start = ContainerStart(
            stamp=spec.stamp,
            directory=directory,
            view=view,
            user=user,
            joins=joins,
            has_gpus=bool(spec.gpus),
            memory_mb=spec.memory_mb,
            processor_ids=spec.processor_ids,
        )
        return Launch(
            argv=self._runtime.argv(way, start),
            environment={"PATH": DEFAULT_PATH, **self._environment, COOKIE: spec.stamp},
            places=[*view.places, *_in_temporary(view, directory)],
            files=view.files,
            user=user,
        )

    def _places_to_hide(self, secrets: Sequence[Path], user: PayloadUser | None) -> dict[Path, Path]:
        """Return the directories that hold these, each with its secret; looked for anew for every task.

        Raises:
            CEError: a secret has names that nothing can find. To another user its mode closes it under all of them.
        """
        mounts = read_mounts()
        found: dict[Path, Path] = {}
        for secret in secrets:
            places = places_of(secret, mounts) or self._last_places.get(secret, [])  # it may just be replaced
            self._last_places[secret] = places
            if user is None and has_hard_links(secret):
                raise CEError(f"{secret} has hard links, by which payloads may find it: remove them, or copy the file")
            found |= dict.fromkeys(places, secret)
        return found

    def forget(self, directory: Path, joins: Sequence[Path]) -> None:
        """Remove what the runtime keeps of a task that is over; see Runtime."""
        self._runtime.forget(directory, joins)

    def _probe(self, work_dir: Path) -> str:
        """Find the best way that works; return why none does."""
        refusals: list[str] = []
        for way in self._runtime.ways:
            try:
                problem = self._try(way, work_dir)
            except CEError as error:
                problem = str(error)
            except OSError as error:
                problem = f"{self._runtime.program} cannot be started: {error.strerror}"
            except _NoAnswer as silence:
                return str(silence)
            if not problem:
                self._way = replace(way, lacks=f"{way.lacks} ({refusals[0]})") if way.lacks else way
                return ""
            refusals.append(problem)
        others = f"; and otherwise: {refusals[-1]}" if refusals[-1] != refusals[0] else ""
        return refusals[0] + others + _knobs_hint() + _roots_hint(refusals[0])

    def _try(self, way: Way, work_dir: Path) -> str:
        """Start the smallest payload; return what went wrong.

        Raises:
            _NoAnswer: it did not end; no other way is tried, which would take as long.
        """
        spec = TaskSpec(stamp=uuid.uuid4().hex, script=f"echo seen > seen; exit {_PROBE_EXIT_CODE}\n")
        directory = work_dir / f".probe-{spec.stamp}"
        launch = self._launch(way, spec, directory, ())
        try:
            for place in (directory / "work", directory / "tmp"):
                place.mkdir(parents=True)
            (directory / "payload").write_text(spec.script, encoding="ascii")
            prepare_inside(spec, directory, launch)
            # in our session: see `session_cell`
            around = Around(env=dict(launch.environment), cwd=directory / "work", stdout=NOWHERE)
            said = run(launch.argv, timeout_s=self._probe_s, around=around)
            if said.exit_code is None:
                raise _NoAnswer(said.flood or f"it did not start a container within {self._probe_s:g} s")
            seen = said.exit_code == _PROBE_EXIT_CODE and (directory / "work/seen").exists()
            return "" if seen else _last_line(said.stderr) or f"its test payload ended with {said.exit_code}"
        finally:
            self._runtime.forget(directory, ())
            with suppress(OSError):
                remove_tree(directory)


class _NoAnswer(Exception):
    """A test payload did not end."""


def _in_temporary(view: View, directory: Path) -> list[Path]:
    """Return the places in a task's own /tmp over which something is bound: a runtime would make them its own."""
    return [
        directory / "tmp" / bind.target.relative_to(_TEMPORARY)
        for bind in view.binds
        if is_below(bind.target, _TEMPORARY) and not bind.source.is_file()
    ]


def _last_line(text: bytes) -> str:
    lines = [line.strip() for line in lines_of(text.decode("utf-8", "backslashreplace")) if line.strip()]
    return lines[-1][:500] if lines else ""


def _roots_hint(problem: str) -> str:
    """Say what root may lack: it starts payloads as another user, for which it needs rights that containers take."""
    is_refused = "not permitted" in problem or "Permission denied" in problem
    return _ROOTS_HINT if is_refused and payload_user() else ""


def _knobs_hint() -> str:
    """Say which of the kernel's settings forbids user namespaces, if one does."""
    for name, forbids in _KNOBS.items():
        try:
            value = read_small(f"/proc/sys/{name}").decode("ascii").strip()
        except OSError:
            continue
        if value == forbids:
            return f" (user namespaces are off on this node: {name.replace('/', '.')} = {value})"
    return ""
