"""Clouds as a batch system: a job is one machine, and its name is the task's stamp.

The journal is the task book's: a task is written there before its machine is created. What became of a creation without
an answer is seen in the list of machines, by the name. Machines that no open task accounts for are deleted.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ce_backends.base import Accepted, Limit, Rejected, Submission, TaskState, TaskStatus, Uncertain
from ce_backends.batch.launcher import RESULT, TASK
from ce_backends.batch.system import BatchJob
from ce_backends.batch.task_book import Entry
from ce_backends.cloud import context
from ce_backends.cloud.console import Said, said
from ce_backends.cloud.context import Contextualisation
from ce_backends.cloud.machines import Cloud, Machine, Power, Refused, name_of
from ce_backends.errors import CEError, CEUnavailable

FILES = "files"  # SHA-256 of what the machine fetches, a line each, beside task.tar
_ORPHAN_S = 600.0  # so long a machine that nobody knows is left alone: its creation may be under way
_CONSOLE_NOISE_BYTES = 200_000  # besides the result
_BASE64 = 1.5  # with what stands before each line
_INSTALLATION = re.compile(r"[0-9a-f]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """How long machines may take, in seconds.

    Attributes:
        boot_s: until the task begins; then the machine has hung.
        whole_s: in all; a while after the machine itself should have gone off.
    """

    boot_s: float
    whole_s: float


class Machines:
    """See BatchSystem, and Sweeps.

    Args:
        cloud: where they come from.
        area: where the spool keeps the tasks.
        installation: twelve hexadecimal digits in all names, of this CE alone.
        told: what each machine is told.
        lives: how long they may take.
    """

    array_limit: int = 1
    index: Sequence[str] = ()
    passed: Sequence[str] = ()
    unkept: Mapping[str, str] = {
        "memory_limit_ends_a_task": "a task has its machine's memory, and nobody watches there what it uses",
        **dict.fromkeys(
            ("large_output_comes_back", "files_come_back_whole"),
            "a result comes back by the console of a machine, which takes little: of more, the ends of the logs",
        ),
    }

    def __init__(self, cloud: Cloud, area: Path, installation: str, told: Contextualisation, lives: Lives) -> None:
        self._cloud = cloud
        self._area = area
        self._installation = installation
        self._told = told
        self._lives = lives
        self._begun: set[str] = set()  # ids of machines whose task has begun: their consoles need not be read
        self._listed: Sequence[Machine] | None = None  # by this look, for the sweep at its end

    # ---- submission ----

    def submit(self, job: BatchJob) -> Submission:
        """See BatchSystem."""
        able = self._cloud.abilities
        place = self._area / "tasks" / job.name
        parcel = place / "parcel.tar"
        try:
            context.parcel(self._area / "jobs" / job.name, place / TASK, parcel)
            told = context.user_data(
                self._told,
                job.name,
                None if able.has_parcel_disk else parcel,
                files=self._files(place),
                console_bytes=able.console_bytes,
            )
        except OSError as error:
            raise CEUnavailable(f"the machine of {job.name} cannot be prepared: {error}") from error
        if len(told) > able.user_data_bytes:
            return Rejected(
                f"the machine would have to be told {len(told)} bytes, and the cloud takes {able.user_data_bytes}: "
                "expected Context_FilesDir and Context_FilesURL, from where machines fetch inputs"
            )
        name = name_of(self._installation, job.name)
        try:
            return Accepted(self._cloud.create(name, told, parcel if able.has_parcel_disk else None))
        except CEUnavailable:
            raise
        except Refused as error:
            return Rejected(str(error))
        except CEError as error:
            return Uncertain(f"machine {name} may be there: {error}")
        finally:
            parcel.unlink(missing_ok=True)

    def _files(self, place: Path) -> Sequence[str]:
        try:
            return (place / FILES).read_text("ascii").split()
        except FileNotFoundError:
            return []

    def element(self, job_id: str, number: int, size: int) -> str:  # noqa: ARG002 - one machine, one task
        """See BatchSystem."""
        return job_id

    def find(self, names: Collection[str]) -> Mapping[str, str]:
        """See BatchSystem. Of two machines of one task, which a lost answer may leave, the older one counts."""
        found = sorted(self._ours(), key=lambda machine: -machine.age_s)
        by_stamp = {
            machine.stamp: machine.machine_id for machine in reversed(found) if machine.power is not Power.GOING
        }
        return {name: by_stamp[name] for name in names if name in by_stamp}

    # ---- what became of them ----

    def states(self, task_ids: Collection[str]) -> Mapping[str, TaskStatus]:
        """See BatchSystem. What an ended machine has left is put where the spool looks for it."""
        self._listed = self._ours()
        asked = set(task_ids)
        self._begun &= asked
        return {machine.machine_id: self._state(machine) for machine in self._listed if machine.machine_id in asked}

    def _state(self, machine: Machine) -> TaskStatus:
        native = machine.native
        if machine.power is Power.OFF:
            return self._ended(machine)
        if machine.power in (Power.BROKEN, Power.GOING):
            return TaskStatus(state=TaskState.FAILED, native=native, reason=f"the cloud says {native} of its machine")
        if machine.age_s > self._lives.whole_s:
            reason = f"its machine has hung: it is on after {machine.age_s:.0f} s, and should have gone off by itself"
            return TaskStatus(state=TaskState.FAILED, native=native, reason=reason, limit=Limit.WALL)
        if machine.power is Power.COMING:
            return TaskStatus(state=TaskState.WAITING, native=native, reason="its machine is being created")
        return self._on(machine)

    def _on(self, machine: Machine) -> TaskStatus:
        if machine.machine_id not in self._begun and self._cloud.abilities.tells_at_once:
            try:
                has_begun = self._said(machine).has_begun
            except CEError as error:
                return TaskStatus(state=TaskState.UNKNOWN, native=machine.native, reason=str(error))
            if not has_begun and machine.age_s > self._lives.boot_s:
                reason = f"its machine has hung: after {machine.age_s:.0f} s the task had not begun"
                return TaskStatus(state=TaskState.FAILED, native=machine.native, reason=reason)
            if not has_begun:
                return TaskStatus(state=TaskState.WAITING, native=machine.native, reason="its machine boots")
            self._begun.add(machine.machine_id)
        return TaskStatus(state=TaskState.RUNNING, native=machine.native)

    def _ended(self, machine: Machine) -> TaskStatus:
        """Return the end of a machine that is off, once it has been read what it left."""
        try:
            words = self._said(machine)
            if words.result is not None:
                self._keep(machine.stamp, words.result)
        except CEError as error:
            return TaskStatus(state=TaskState.UNKNOWN, native=machine.native, reason=str(error))
        if words.result is None and words.why_failed:
            return TaskStatus(state=TaskState.FAILED, native=machine.native, reason=words.why_failed)
        return TaskStatus(state=TaskState.DONE, native=machine.native)

    def _said(self, machine: Machine) -> Said:
        most = int(self._cloud.abilities.console_bytes * _BASE64) + _CONSOLE_NOISE_BYTES
        return said(self._cloud.console(machine.machine_id, most), machine.stamp)

    def _keep(self, stamp: str, result: bytes) -> None:
        place = self._area / "tasks" / stamp
        if (place / "exit_code").exists():
            return
        try:
            (place / "coming").write_bytes(result)
            (place / "coming").replace(place / RESULT)
        except OSError as error:
            raise CEError(f"the result of {stamp} cannot be kept: {error}") from error

    # ---- their ends ----

    def cancel(self, task_ids: Collection[str]) -> None:
        """See BatchSystem."""
        for task_id in task_ids:
            self._cloud.delete(task_id)

    def sweep(self, known: Callable[[Collection[str]], Mapping[str, Entry]]) -> None:
        """See Sweeps."""
        listed, self._listed = self._listed, None
        there = [
            machine for machine in (self._ours() if listed is None else listed) if machine.power is not Power.GOING
        ]
        entries = known({machine.stamp for machine in there})
        ids = {machine.machine_id for machine in there}
        for machine in there:
            if _is_left(machine, entries.get(machine.stamp), ids):
                with suppress(CEError):  # at the next look again
                    self._cloud.delete(machine.machine_id)

    def _ours(self) -> Sequence[Machine]:
        return [each for each in self._cloud.machines() if each.name == name_of(self._installation, each.stamp)]

    def _there(self, machines: Sequence[Machine]) -> Sequence[Machine]:
        return [machine for machine in machines if machine.power is not Power.GOING]


def _is_left(machine: Machine, entry: Entry | None, ids: Collection[str]) -> bool:
    """Tell whether no task needs a machine: its task has ended, has another one, or was never known."""
    if entry is None:
        return machine.age_s > _ORPHAN_S
    if entry.end is not None:
        return True
    return entry.task_id is not None and entry.task_id != machine.machine_id and entry.task_id in ids


def installation(work_dir: Path, fresh: str) -> str:
    """Return the digits in the names of all machines of a CE: those in its work directory, else the fresh ones.

    Raises:
        CEUnavailable: they cannot be read or written.
    """
    path = work_dir / "installation"
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            aside = path.with_suffix(".new")
            aside.write_text(fresh, encoding="ascii")
            aside.replace(path)
        written = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CEUnavailable(f"{path} cannot be used: {error}") from error
    if not _INSTALLATION.fullmatch(written):
        raise CEUnavailable(f"{path} holds {written[:40]!r}: expected twelve hexadecimal digits")
    return written
