"""The spool of a batch system that brings files to its nodes and back itself: only its submit host must see the spool.

ROOT/tasks/STAMP/task.tar      goes to the node; result.tar comes back there, and is unpacked when it is looked for
ROOT/jobs/NAME                 the launcher; ROOT/jobs/NAME.tasks: the stamps of the job's tasks, a line each
"""

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ce_backends.base import TaskSpec
from ce_backends.batch.launcher import RESULT, TASK, launcher, write_task
from ce_backends.batch.spool import MOVE_S, End, Spool
from ce_backends.batch.system import BatchJob
from ce_backends.batch.transport import sure
from ce_backends.errors import CEError
from ce_backends.task.archive import add_directory, add_file

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


class StagedSpool(Spool):
    """See Spool."""

    unkept: Mapping[str, str] = dict.fromkeys(
        ("running_task_shows_its_output", "look_leads_out_of_no_work_directory"),
        "nothing is shown: what a running task writes is on its node, and condor_tail shows only what a job must have "
        "at its end",
    )

    def lay_out(self, job: BatchJob, tasks: Sequence[TaskSpec], index: Sequence[str], passed: Sequence[str]) -> None:
        """See Spool."""
        with self._brought(job.name) as archive:
            add_file(archive, f"jobs/{job.name}", launcher(index), 0o700)
            add_file(archive, f"jobs/{job.name}.tasks", "".join(f"{task.stamp}\n" for task in tasks).encode(), 0o600)
            for task in tasks:
                add_directory(archive, f"tasks/{task.stamp}")
                add_directory(archive, f"tasks/{task.stamp}/work")
                with tempfile.NamedTemporaryFile(dir=self._scratch, suffix=".tar") as packed:
                    write_task(Path(packed.name), task, passed, self._launcher)
                    archive.add(packed.name, f"tasks/{task.stamp}/{TASK}")

    def ends(self, stamps: Collection[str]) -> dict[str, End]:
        """See Spool."""
        if stamps:
            done = self._sh(_UNPACK_RESULTS, self.root, RESULT, lines=stamps, timeout_s=MOVE_S)
            sure(done, "results of tasks cannot be unpacked")
        return super().ends(stamps)

    def peek(self, stamp: str, path: str, max_bytes: int) -> bytes:  # noqa: ARG002
        """See Spool. What a running task has written is on its node."""
        return b""

    def renew_credential(self, stamp: str, credential: Path) -> None:  # noqa: ARG002
        """See Spool.

        Raises:
            CEError: always, the task is on its node.
        """
        raise CEError(f"task {stamp} has taken its credential to its node, where it cannot be replaced")
