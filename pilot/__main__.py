"""`python -m pilot`: the whole life of a pilot, and the only place where errors become exit codes."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from pilot import cli, dry_run, ending, explain, pilot_json, private, usage
from pilot import settings as table
from pilot.agent import launch
from pilot.agent.supervision import PASSED_ON
from pilot.doctor import examination
from pilot.errors import ENDED, INTERNAL, UNFIT, NodeUnfit, PilotError, Stopped, UsageError, lack
from pilot.log import Log, visible
from pilot.node import batch_slot, bundle, start_together, worker_node, wrapper_log
from pilot.redact import redacted
from pilot.steps import order, standard
from pilot.steps.state import Pilot
from pilot.wms import credential, remote_log

LOG_FILE = "pilot.log"
PACKAGES = {"ce": "ce_backends", "site-director": "agents.site_director", "data": "agents.data_cli"}
PRIVATE = 0o077  # whatever the batch system's umask: logs, configuration and jobs are nobody else's


def main(argv: Sequence[str] | None = None, *, is_process: bool = False) -> int:
    """Run a pilot and return its exit code; see `pilot.errors`.

    Args:
        argv: the words of the command line; None for those of the process.
        is_process: the process ends with it: a signal that comes when all is told and done disturbs that no more.
    """
    os.umask(PRIVATE)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _guarded(arguments, is_process=is_process)
    finally:
        bundle.remove(os.environ)
        _let_go_of_streams()


def _let_go_of_streams() -> None:
    """Write out what was printed, or drop it: Python itself ends with 120 where it cannot be written."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):  # a full disk, a pipe that nobody reads, a closed stream
            setattr(sys, name, None)  # what is left in it would be tried once more


def _guarded(arguments: Sequence[str], *, is_process: bool) -> int:
    try:
        with _signals_raise(is_last=is_process):
            return _obeyed(arguments)
    except PilotError as error:
        _complain(str(error))
        return error.exit_code
    except BrokenPipeError:  # whoever read `--help` or `--explain` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ENDED
    except Exception as error:  # noqa: BLE001 - the outermost door: nobody gets a traceback on the screen
        if sentence := lack(error):
            _complain(str(_unfit(sentence)))
            return UNFIT
        return _unexpected(error, _log_file(arguments))


def _obeyed(arguments: Sequence[str]) -> int:
    word, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if word == "pilot":  # as `gridpilot` has it, of which the one file is the pilot's part
        return bootstrap(rest, os.environ)
    if word in ("status", "explain", "report"):
        return launch.ask_package("agents", arguments, os.environ)
    if word == "data":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's own, which goes on later
    if word in PACKAGES:
        own = (signal.SIGTERM, signal.SIGINT) if word == "site-director" else ()  # it ends by them
        return launch.ask_package(PACKAGES[word], rest, os.environ, own)
    if word == "doctor" and set(cli.HELP) & set(rest):
        print(usage.of_doctor(), flush=True)
        return ENDED
    return examination.main(rest, os.environ) if word == "doctor" else bootstrap(arguments, os.environ)


def _complain(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it, or a full disk: the exit code says it too
        print(f"pilot: {visible(sentence)}", file=sys.stderr, flush=True)


def _unfit(sentence: str) -> NodeUnfit:
    return NodeUnfit(f"the node cannot run a pilot: {sentence}")


def _unexpected(error: Exception, log_file: Path) -> int:
    _complain(f"internal error: {type(error).__name__}: {error}; see {log_file}")
    with contextlib.suppress(OSError), log_file.open("a", encoding="utf-8") as log:
        traceback.print_exception(type(error), error, error.__traceback__, file=log)
    return INTERNAL


def _log_file(argv: Sequence[str]) -> Path:
    """Return where the log is, without the parsing that may be what has failed."""
    words = [word for argument in argv for word in str(argument).split("=", 1)]
    given = words[words.index("--work-dir") + 1 :] if "--work-dir" in words else []
    folder = Path(given[0]) if given else Path()
    return (folder if folder.is_dir() else Path()) / LOG_FILE


def bootstrap(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Read the settings, then do what was asked for: normally, run."""
    line = cli.parse(argv)
    if line.asks_for == "--help":
        print(usage.text(), flush=True)
        return ENDED
    if line.asks_for == "--version":
        print(_version(), flush=True)
        return ENDED
    first = table.load(line.given)
    vo = credential.vo(first.settings, environ)
    path, content = _read_json(first)
    loaded = table.load([*pilot_json.settings(content, path, first.settings, vo), *line.given])
    slot = batch_slot.look(environ, ce=loaded.settings.ce, stamp=loaded.settings.stamp or os.urandom(16).hex())
    if loaded.settings.reference:
        slot = batch_slot.named(slot, loaded.settings.reference)
    work_dir = Path(loaded.settings.work_dir).absolute()
    node = worker_node.look(Path("/"), environ, work_dir)
    if line.asks_for == "--explain":
        rows = explain.rows(loaded, vo, slot, node, bundle.read(environ), line.about)
        print(visible(explain.text(rows, as_json=line.as_json)), flush=True)
        return ENDED
    if line.asks_for == "--dry-run":
        plan = dry_run.planned(loaded, vo, slot, node, environ, work_dir)
        print(visible(dry_run.text(plan, as_json=line.as_json)), flush=True)
        return ENDED
    log, remote = _open_log(loaded.settings, work_dir, slot.stamp)
    started = bundle.read(environ)
    if started.beside:
        for each in wrapper_log.lines(sys.stdin.fileno()):  # on the screen the wrapper has shown it itself
            _to_file(work_dir / LOG_FILE, remote, redacted(each))
    log.info("pilot.python", python=started.python or sys.executable, why=started.why or "started with it")
    unused = [*line.without_effect, *standard.without_effect(loaded.settings)]
    for name in dict.fromkeys(unused):
        log.warning("setting.without_effect", name=name)
    return run(
        Pilot(
            loaded=loaded, vo=vo, slot=slot, node=node, environ=environ, work_dir=work_dir, log=log, remote_log=remote
        )
    )


def _version() -> str:
    from importlib import metadata  # noqa: PLC0415 - 20 ms that only --version has to pay

    try:
        return metadata.version("gridpilot")
    except metadata.PackageNotFoundError:
        return "not installed: a source tree"


def _read_json(first: table.Loaded) -> tuple[Path, dict[str, object]]:
    named = first.settings.pilot_json
    path = Path(named or "pilot.json")
    return path, pilot_json.load(path, must_exist=bool(named))


def _open_log(settings: table.Settings, work_dir: Path, stamp: str) -> tuple[Log, remote_log.RemoteLog]:
    log_file = work_dir / LOG_FILE
    try:
        private.folder(work_dir)
        _take(work_dir)
        log_file.touch()
    except OSError as error:
        raise NodeUnfit(f"{work_dir}: not usable as work folder: {error.strerror}") from error
    remote = remote_log.RemoteLog(
        work_dir, stamp, limit_lines=settings.logger_lines, interval_s=settings.logger_interval_s
    )
    level = "DEBUG" if settings.debug else settings.log_level
    return Log((_to_stdout, functools.partial(_to_file, log_file, remote)), level=level), remote


def _take(work_dir: Path) -> None:
    """Keep the work folder until this process ends: two pilots in one would take each other's files away.

    The folder itself is locked, so that nothing of the other's is touched, and nothing is left behind.

    Raises:
        UsageError: another pilot has it.
    """
    folder = os.open(work_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"{work_dir}: another pilot works in this folder; give each its own --work-dir") from error
    except OSError:  # a file system without locks
        os.close(folder)


def _to_stdout(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # a closed pipe or a full disk must not end the pilot
        sys.stdout.write(line)
        sys.stdout.flush()


def _to_file(path: Path, remote: remote_log.RemoteLog, line: str) -> None:
    """Write a line where the remote log finds it; a full disk must not make it mute."""
    try:
        with path.open("a", encoding="utf-8") as log:
            log.write(line)
    except OSError:
        remote.keep(line)
    else:
        remote.noticed()


def run(pilot: Pilot) -> int:
    """Run the commands, then say goodbye to the services; return the exit code."""
    try:
        _wait_for_its_turn(pilot)
        for step in order.chosen(pilot):
            pilot = step.run(pilot)
    except PilotError as error:
        ending.failed(pilot, error)
        raise
    except Exception as error:
        if sentence := lack(error):
            ending.failed(pilot, _unfit(sentence))
        raise
    return ending.ended(pilot)


def _wait_for_its_turn(pilot: Pilot) -> None:
    """Let pilots that were started together ask one after the other; one on its own begins at once."""
    together = start_together.pilots(pilot.environ)
    wait_s = start_together.wait_s(together, pilot.settings.start_spread_s, random.random)
    if wait_s > 0:
        pilot.log.info("pilot.waits", seconds=round(wait_s, 1), together=together, spread=pilot.settings.start_spread_s)
        time.sleep(wait_s)


@contextlib.contextmanager
def _signals_raise(*, is_last: bool) -> Iterator[None]:
    """Turn a signal into an error with a sentence, while there is no agent to pass it on to; at last ignore it."""
    before = {signum: signal.signal(signum, _raise_stopped) for signum in PASSED_ON}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_IGN if is_last else handler)


def _raise_stopped(signum: int, _frame: FrameType | None) -> None:
    raise Stopped(signum, signal.Signals(signum).name)


if __name__ == "__main__":
    sys.exit(main(is_process=True))
