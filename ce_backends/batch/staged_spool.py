"""The spool of a batch system that brings files to its nodes and back itself: only its submit host must see the spool.

ROOT/tasks/STAMP/task.tar      goes to the node; result.tar comes back there, and is unpacked when it is looked for
ROOT/tasks/STAMP/SHA256        a link to a file that tasks share (`shared_files.py`), which goes to the node beside it
ROOT/jobs/NAME                 the launcher; ROOT/jobs/NAME.tasks: the stamps of the job's tasks, a line each
"""

import tarfile
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.batch.launcher import RESULT, TASK, launcher, write_task
from ce_backends.batch.shared_files import SHARED_FILES
from ce_backends.batch.shown_files import ShownFiles
from ce_backends.batch.spool import LOOK_S, MOVE_S, End, Spool
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import Transport, sure
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.task.archive import add_directory, add_file, add_link
from ce_backends.task.image import NO_LAUNCHER, ImageLauncher
from ce_backends.task.log_limit import Cap

# Unpacked aside first: what is there is whole. tar itself keeps names and links of an archive inside its directory. Who
# has written the archive may be the payload: only what belongs there is taken, and what cannot be is broken for itself.
_UNPACK_RESULTS = """\
cd -- "$1/tasks" || exit 1
away() { [ ! -e "$1" ] && [ ! -h "$1" ] || { chmod -R u+rwX -- "$1" 2> /dev/null; rm -rf -- "$1"; }; }
take() {
    for name in work started stdout stderr times limit reason exit_code; do
        [ ! -h "$1/new/$name" ] || continue
        if [ "$name" = work ]; then [ -d "$1/new/work" ]; else [ -f "$1/new/$name" ]; fi || continue
        away "$1/$name" && mv -fT -- "$1/new/$name" "$1/$name" || return
    done
}
while read -r stamp; do
    [ -f "$stamp/$2" ] && [ ! -h "$stamp/$2" ] || continue
    if away "$stamp/new"; then
        mkdir -- "$stamp/new" || exit 1
        timeout 600 tar -C "$stamp/new" --no-same-owner -xf "$stamp/$2" &&
            chmod -R u+rwX -- "$stamp/new" && take "$stamp" && mv -f -- "$stamp/$2" "$stamp/unpacked"
    fi
    [ ! -e "$stamp/$2" ] || mv -f -- "$stamp/$2" "$stamp/broken"
    away "$stamp/new"
    rm -f -- "$stamp/unpacked"
done
:
"""

# The same name once more in an archive: the last one is what is unpacked in the end.
_RENEW_PACKED = """\
cd -- "$1" && [ -f "tasks/$2/$3" ] && [ ! -h "tasks/$2" ] && umask 077 || exit 1
aside=$(mktemp -d -- incoming/renew.XXXXXXXXXX) || exit 1
trap 'rm -rf -- "$aside"' EXIT
cat > "$aside/credential" && cp -- "tasks/$2/$3" "$aside/task" &&
    tar -rf "$aside/task" --owner=0 --group=0 --numeric-owner -C "$aside" ./credential &&
    mv -fT -- "$aside/task" "tasks/$2/$3"
"""


class StagedSpool(Spool):
    """See Spool. A system reads the files of a task when it begins."""

    renews_before_start_only = True

    unkept: Mapping[str, str] = dict.fromkeys(
        ("running_task_shows_its_output", "look_leads_out_of_no_work_directory"),
        "nothing is shown: what a running task writes is on its node, and condor_tail shows only what a job must have "
        "at its end",
    )

    def fetched(self, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See Spool. What tasks share is linked into the directory of each, from where the system takes it."""
        return sorted(set(self._beside(tasks).values()))

    def lay_out(self, job: BatchJob, tasks: Sequence[TaskSpec], index: Sequence[str], passed: Sequence[str]) -> None:
        """See Spool."""
        beside = self._beside(tasks)
        try:
            with self._brought(job.name) as archive:
                add_file(archive, f"jobs/{job.name}", launcher(index), 0o700)
                stamps = "".join(f"{task.stamp}\n" for task in tasks)
                add_file(archive, f"jobs/{job.name}.tasks", stamps.encode(), 0o600)
                for task in tasks:
                    self._add(archive, task, passed, beside)
        except CEUnavailable:
            if beside:
                self._shared.doubt()
            raise
        if beside:
            self._shared.held()

    def _add(self, archive: tarfile.TarFile, task: TaskSpec, passed: Sequence[str], beside: Mapping[Path, str]) -> None:
        place = f"tasks/{task.stamp}"
        add_directory(archive, place)
        add_directory(archive, f"{place}/work")
        for name in self._links(task, beside):
            add_link(archive, f"{place}/{name}", f"{SHARED_FILES}/{name}")
        with tempfile.NamedTemporaryFile(dir=self._scratch, suffix=".tar") as packed:
            write_task(Path(packed.name), task, passed, self._launcher, beside)
            archive.add(packed.name, f"{place}/{TASK}")

    def _beside(self, tasks: Sequence[TaskSpec]) -> Mapping[Path, str]:
        """Return the SHA-256 of files that need not go into the archive of each task.

        Raises:
            CEError: a file cannot be read.
            CEUnavailable: it could not be brought to where it is taken from.
        """
        there = self._shared.brought(self.root, tasks)
        return {source: place.rpartition("/")[2] for source, place in there.items() if "\n" not in source.name}

    def _links(self, task: TaskSpec, beside: Mapping[Path, str]) -> Sequence[str]:
        """Return what of a task's shared files is linked into its directory."""
        return sorted({beside[source] for source in task.shared if source in beside})

    def ends(self, stamps: Collection[str]) -> dict[str, End]:
        """See Spool."""
        if stamps:
            done = self._sh(_UNPACK_RESULTS, self.root, RESULT, lines=stamps, timeout_s=MOVE_S)
            sure(done, "results of tasks cannot be unpacked")
        return super().ends(stamps)

    def peek(self, stamp: str, path: str, max_bytes: int) -> bytes:  # noqa: ARG002
        """See Spool. What a running task has written is on its node."""
        return b""

    def renew_credential(self, stamp: str, credential: Path) -> None:
        """See Spool. What has begun has taken the one that it had to its node."""
        with credential.open("rb") as file:
            argv = ["/bin/sh", "-c", _RENEW_PACKED, "sh", self.root, stamp, TASK]
            sure(self._transport.run(argv, timeout_s=LOOK_S, stdin=file), f"the credential of task {stamp}")


class SentSpool(StagedSpool):
    """See Spool. All files have gone with the task when it is submitted, but for those that a web server shows.

    Args:
        transport: see Spool.
        root: see Spool.
        scratch: see Spool.
        cap: see Spool.
        launcher: see Spool.
        shown: where files that tasks share are shown; None where each task takes them along.
    """

    def __init__(
        self,
        transport: Transport,
        root: str,
        scratch: Path,
        *,
        cap: Cap,
        launcher: ImageLauncher = NO_LAUNCHER,
        shown: ShownFiles | None = None,
    ) -> None:
        super().__init__(transport, root, scratch, cap=cap, launcher=launcher)
        self._shown = shown

    def fetched(self, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See Spool."""
        names = super().fetched(tasks)
        return [self._shown.url(name) for name in names] if self._shown else names

    def _beside(self, tasks: Sequence[TaskSpec]) -> Mapping[Path, str]:
        shown = self._shown.of(tasks) if self._shown else {}
        return {source: name for source, name in shown.items() if "\n" not in source.name}

    def _links(self, task: TaskSpec, beside: Mapping[Path, str]) -> Sequence[str]:  # noqa: ARG002
        return ()

    def renew_credential(self, stamp: str, credential: Path) -> None:  # noqa: ARG002
        """See Spool.

        Raises:
            CEError: always.
        """
        raise CEError(f"task {stamp} was sent with its credential, and nothing here can be sent after it")
