"""The table of moves, and the program that adapts scripts from outside by it."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tools import moved

MOVES = moved.read()

OLD = '''\
from agents.jobs.surroundings import Surroundings  # said here
from ce_backends import cfg, registry, spool as shared, task_archive
from ce_backends.pool import (
    InProcess,
    Pool,
)
from ce_backends import rounds


def main(pilot):
    """See ce_backends/pool.py, ce_backends.bell.Bell and agents.jobs."""
    patch("ce_backends.batch_ce.boot_s", Surroundings, rounds.Rounds, rounds.Bounds)
    run("from agents.wms.transports import Voices; print(1)")
    transport.exchange(f"{url}/Matcher", "requestJob", [{}], raw=False)
    return pilot.credential, shared.Surroundings, task_archive.unpack
'''
NEW = '''\
from agents.runner.context import JobContext  # said here
from ce_backends import cfg, registry
from ce_backends.batch import spool as shared
from ce_backends.task import archive as task_archive
from ce_backends.pool.ce import InProcess, Pool
from ce_backends.pool import monitor as rounds


def main(pilot):
    """See ce_backends/pool/ce.py, ce_backends.linux.wakeup.Wakeup and agents.jobs."""
    patch("ce_backends.batch.ce.boot_s", JobContext, rounds.Monitor, rounds.Bounds)
    run("from agents.wms.transports import Transports; print(1)")
    transport.call(f"{url}/Matcher", "requestJob", [{}])
    return pilot.credential, shared.Surroundings, task_archive.unpack
'''


def test_a_script_is_adapted_and_an_adapted_one_stays_as_it_is() -> None:
    assert moved.adapted(OLD, MOVES, module="") == NEW
    assert moved.adapted(NEW, MOVES, module="") == NEW


def test_a_page_is_adapted() -> None:
    page = "`--pyargs ce_backends.conformance_suite`, [pool](../../ce_backends/pool.py), pilot/launch.py"
    assert moved.adapted(page, MOVES) == (
        "`--pyargs ce_backends.conformance.test_suite`, [pool](../../ce_backends/pool/ce.py), pilot/agent/launch.py"
    )


def test_files_are_changed_in_place_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, other = tmp_path / "old.py", tmp_path / "other.sh"
    old.write_text(OLD, encoding="utf-8")
    other.write_text("echo\n", encoding="utf-8")

    assert moved.main([str(old), str(other)]) == 0

    assert old.read_text(encoding="utf-8") == NEW
    assert capsys.readouterr().out == f"{old}\n"


@pytest.mark.parametrize(("old", "new"), MOVES.modules.items())
def test_a_module_that_has_moved_is_where_the_table_says(old: str, new: str) -> None:
    assert find_spec(new)
    spec = find_spec(old) if find_spec(old.rpartition(".")[0]) else None
    assert spec is None or spec.submodule_search_locations  # a room may have the name of what stands in it now


NAMES = [(module, old, new) for module, names in MOVES.names.items() for old, new in names.items()]


@pytest.mark.parametrize(("module", "old", "new"), NAMES)
def test_a_name_is_where_the_table_says(module: str, old: str, new: str) -> None:
    there = __import__(module, fromlist=[new])
    assert hasattr(there, new)
    assert not hasattr(there, old)
