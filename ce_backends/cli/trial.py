"""`gridpilot ce test`: a small task through the real CE, then a verdict on every clause of the contract."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from ce_backends import places
from ce_backends.base import Accepted, ComputingElement, Rejected, TaskState, TaskStatus
from ce_backends.cli import commands
from ce_backends.conformance import suite as conformance
from ce_backends.conformance.junit import junit
from ce_backends.conformance.parallel import Trials
from ce_backends.conformance.subject import Subject, open_to_tasks, task
from ce_backends.conformance.suite import Check, Result
from ce_backends.counted import counted
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.options import OptionValue
from ce_backends.readers import did_you_mean
from ce_backends.registry import backend, origin
from ce_backends.untrusted.text import visible

_PAUSE_S = 0.2
_SCRIPT = 'echo "gridpilot ran on $(hostname)"; exit 7\n'


def test(arguments: argparse.Namespace) -> int:
    """Test one CE; the exit code is 1 where a clause is not kept."""
    checks = _chosen_checks(arguments)
    definition, options, trouble = commands.chosen(arguments)
    if trouble:
        raise CEUnavailable(trouble)
    if arguments.junit:
        places.file(arguments.junit)
    progress = Progress(is_silent=arguments.json)
    with place(arguments.work_dir) as scratch:
        trials = trials_of(definition.ce_type, options, scratch, arguments.deadline)
        progress.say(f"{definition.name}: CE type {definition.ce_type}")
        if not arguments.clause:
            first_task(trials, progress)
        results = verdicts(trials, checks, progress, at_once=arguments.at_once)
    if arguments.json:
        versions = {"contract": conformance.CONTRACT_VERSION, "suite": conformance.SUITE_VERSION}
        about = {"ce": definition.name, "type": definition.ce_type, "from": origin(definition.ce_type)}
        print(json.dumps({**versions, **about, "results": [asdict(result) for result in results]}, indent=2))
    if arguments.junit:
        _write(arguments.junit, junit(definition.name, results))
    return 0 if all(result.passed for result in results) else 1


def verdicts(trials: Trials, checks: Sequence[Check], progress: "Progress", *, at_once: int = 1) -> list[Result]:
    """Try clauses on a CE, each told as soon as it is over; return all results, broken ones too."""
    results = []
    for result in trials.run(checks, at_once):
        results.append(result)
        progress.verdict(result)
    kept = sum(result.passed and not result.unkept for result in results)
    failed = sum(not result.passed for result in results)
    progress.say(f"{kept} of {counted(len(results), 'clause')} kept, {failed} broken")
    return results


def trials_of(ce_type: str, options: Mapping[str, OptionValue], scratch: Path, deadline_s: float) -> Trials:
    """Return what tries a CE in a directory that its tasks can see, with at most so long for each step."""
    return Trials(ce_type=ce_type, options=_shown(ce_type, options, scratch), scratch=scratch, deadline_s=deadline_s)


def _chosen_checks(arguments: argparse.Namespace) -> Sequence[Check]:
    """Return the clauses that the arguments name, all where they name none.

    Raises:
        CEMisconfigured: there is no such clause.
    """
    by_name = {check.__name__: check for check in conformance.CHECKS}
    wanted = [name.strip().replace(" ", "_") for name in arguments.clause]
    for name in wanted:
        if name not in by_name:
            raise CEMisconfigured(f"there is no clause {name}{did_you_mean(name, by_name)}")
    names = wanted or (conformance.QUICK if arguments.quick else by_name)
    return [by_name[name] for name in names]


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CEError(f"{path} cannot be written: {error.strerror}") from error


def _shown(ce_type: str, options: Mapping[str, OptionValue], scratch: Path) -> Mapping[str, OptionValue]:
    """Let tasks in containers see the directory through which the checks speak with them."""
    if all(option.name != "ContainerBind" for option in backend(ce_type).OPTIONS):
        return options
    binds = (str(options.get("ContainerBind", "")), str(scratch))
    return {**options, "ContainerBind": ",".join(filter(None, binds))}


@contextmanager
def place(given: Path | None = None) -> Iterator[Path]:
    """Yield where to work: a place given by the caller is kept."""
    if given:
        yield open_to_tasks(Path(tempfile.mkdtemp(prefix="ce-test-", dir=places.folder(given))))
        return
    with tempfile.TemporaryDirectory(prefix="gridpilot-ce-test-", ignore_cleanup_errors=True) as scratch:
        yield open_to_tasks(Path(scratch))


class Progress:
    """What a person sees meanwhile: one line that changes, where it is a terminal."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._is_live = sys.stdout.isatty()
        self._last = ""

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if not self._is_silent:
            print(f"\r\033[K{visible(text)}" if self._is_live else visible(text), flush=True)

    def show(self, text: str) -> None:
        """Show where things stand: in the changing line, elsewhere once for each change."""
        if self._is_silent or (text == self._last and not self._is_live):
            return
        self._last = text
        print(f"\r\033[K{text}" if self._is_live else text, end="" if self._is_live else "\n", flush=True)

    def verdict(self, result: Result) -> None:
        """Print how a check went."""
        word = "-" if result.unkept else "ok" if result.passed else "FAILED"
        self.say(f"{word:6}  {result.wall_s:6.2f} s  {result.check}")
        if told := result.problem or (result.unkept and f"not kept here: {result.unkept}"):
            self.say(f"        {told}")


def first_task(trials: Trials, progress: Progress) -> None:
    """Send one small task through a CE.

    Raises:
        CEUnavailable: the CE cannot take it now, or its end was not seen in time.
        CEError: the CE refuses it, its output does not come back, or the CE raises what it may not.
    """
    try:
        _first_task(trials.subject(), progress)
    except (CEError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise CEError(f"the CE fails with its first task: {type(error).__name__}: {error}") from error


def _first_task(subject: Subject, progress: Progress) -> None:
    """Submit one task, follow it, bring its output: what goes wrong here goes wrong everywhere.

    Raises:
        CEUnavailable: the CE cannot take it now, or its end was not seen in time.
        CEError: the CE refuses it, or its output does not come back.
    """
    spec = task(_SCRIPT)
    task_id = ""
    with subject.object() as ce:
        try:
            progress.show("submitting a small task")
            answer = ce.submit([spec])[spec.stamp]
            if isinstance(answer, Rejected):
                raise CEError(f"the CE refuses a small task: {answer.reason}")
            if not isinstance(answer, Accepted):
                raise CEUnavailable(answer.reason)
            task_id = answer.task_id
            status = _followed(ce, task_id, subject.deadline_s, progress)
            if (status.state, status.exit_code) != (TaskState.DONE, 7):
                raise CEError(
                    f"task {task_id} was to end with exit code 7: it is {status.state}, {status.reason or status}"
                )
            ce.fetch(task_id, subject.scratch / "first")
            progress.say(f"task {task_id}: {(subject.scratch / 'first/stdout').read_text().strip()}")
        finally:
            with suppress(CEError):
                _tidy(ce, task_id)


def _followed(ce: ComputingElement, task_id: str, deadline_s: float, progress: Progress) -> TaskStatus:
    began_s = time.monotonic()
    while not (status := ce.poll([task_id])[task_id]).state.is_final:
        waited_s = time.monotonic() - began_s
        progress.show(f"task {task_id}: {status.state} {status.reason}".rstrip())
        if waited_s > deadline_s:
            raise CEUnavailable(
                f"task {task_id} has not ended within {deadline_s:g} s: {status.state} {status.reason}".rstrip()
            )
        time.sleep(_PAUSE_S)
    return status


def _tidy(ce: ComputingElement, task_id: str) -> None:
    if not task_id:
        return
    ce.cancel([task_id])
    if ce.poll([task_id])[task_id].state.is_final:
        ce.clean([task_id])
