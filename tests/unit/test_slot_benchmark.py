"""Measuring the power of a processor: the slowest copy's median, within sane bounds, remembered for this boot."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from agents.slot import db12
from agents.slot.benchmark import Benchmark, Machine, memory, this_machine
from agents.slot.isolated_python import alone
from ce_backends.linux.processes import Stat, all_stats, is_still, stat_of
from tests.waiting import PATIENCE_S, until, within

MACHINE = Machine("a CPU", "boot-1", copies=1)


def printing(*words: str) -> Sequence[str]:
    return ("printf", "%s\\n", *words)


def benchmark(cache: Path, *words: str, machine: Machine = MACHINE) -> Benchmark:
    return Benchmark(machine, cache, printing(*words))


def test_median_of_a_copy_counts_so_that_one_slow_moment_does_no_harm(tmp_path: Path) -> None:
    assert benchmark(tmp_path / "c", "20.0", "3.1", "21.04").power_hs06() == 20.0


def test_slowest_copy_counts(tmp_path: Path) -> None:
    # each copy takes the next number: mkdir tells which of them is first
    script = f"if mkdir {tmp_path}/first 2>/dev/null; then echo 30; else echo 17.26; fi"

    measured = Benchmark(Machine("a CPU", "boot-1", copies=2), tmp_path / "c", ("sh", "-c", script)).power_hs06()

    assert measured == 17.3


@pytest.mark.parametrize("words", [["2250"], ["0.01"], ["nan"], ["fast"], [""]])
def test_result_that_cannot_be_true_is_not_taken(words: list[str], tmp_path: Path) -> None:
    assert benchmark(tmp_path / "c", *words).power_hs06() is None


def test_result_is_remembered_for_the_next_pilot(tmp_path: Path) -> None:
    first = benchmark(tmp_path / "c", "20.0")
    before, _ = first.remembered_hs06(), first.power_hs06()

    assert (before, first.remembered_hs06()) == (None, 20.0)
    assert benchmark(tmp_path / "c", "99.0").power_hs06() == 20.0


def test_node_keeps_nothing_unless_its_site_names_a_folder_for_it(tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    assert memory({}, tmp_path) == memory({"GRIDPILOT_CACHE": ""}, tmp_path) == tmp_path
    assert memory({"GRIDPILOT_CACHE": str(cache)}, tmp_path) == cache


@pytest.mark.parametrize(
    "other", [Machine("a CPU", "boot-2", 1), Machine("another", "boot-1", 1), Machine("a CPU", "boot-1", 8)]
)
def test_result_of_another_boot_processor_or_slot_is_measured_again(other: Machine, tmp_path: Path) -> None:
    benchmark(tmp_path / "c", "20.0").power_hs06()

    assert benchmark(tmp_path / "c", "30.0", machine=other).power_hs06() == 30.0


def test_result_in_a_directory_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    cache = tmp_path / "c"
    benchmark(cache, "20.0").power_hs06()
    cache.chmod(0o777)

    assert benchmark(cache, "30.0").power_hs06() == 30.0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"machine": 1}', '{"machine": ["a CPU", "boot-1", 1], "hs06": 1e9}'])
def test_damaged_memory_is_measured_again(text: str, tmp_path: Path) -> None:
    cache = tmp_path / "c"
    cache.mkdir(mode=0o700)
    (cache / "benchmark.json").write_text(text, encoding="ascii")

    assert benchmark(cache, "30.0").power_hs06() == 30.0


def test_unwritable_memory_is_no_obstacle(tmp_path: Path) -> None:
    assert benchmark(tmp_path / "no" / "such", "30.0").power_hs06() == 30.0


def test_measurement_ends_when_it_is_stopped_and_that_is_no_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started = tmp_path / "started"
    script = f"touch {started}; exec sleep 60"
    measuring = Benchmark(MACHINE, tmp_path / "c", ("sh", "-c", script))
    results: list[float | None] = []
    worker = threading.Thread(target=lambda: results.append(measuring.power_hs06()))
    worker.start()
    until(started.exists)

    measuring.stop()

    worker.join(PATIENCE_S)
    assert not worker.is_alive()
    assert results == [None]
    assert caplog.messages == []


def test_measurement_does_not_begin_after_it_was_stopped(tmp_path: Path) -> None:
    stopped = Benchmark(MACHINE, tmp_path / "c", ("touch", str(tmp_path / "began")))
    stopped.stop()

    assert stopped.power_hs06() is None
    assert not (tmp_path / "began").exists()


NOT_NICE = """\
import os
os.nice = int  # otherwise it waits for all others that compute here
from agents.slot import db12
db12.main(0)
"""


def test_real_benchmark_prints_a_power_and_ends(tmp_path: Path) -> None:
    measured = Benchmark(MACHINE, tmp_path / "c", (sys.executable, "-c", NOT_NICE)).power_hs06()

    assert measured is not None
    assert 1 < measured < 100


MEASURING = """\
import sys
from pathlib import Path
from agents.slot.benchmark import Benchmark, Machine
Benchmark(Machine("a CPU", "boot-1", copies=2), Path(sys.argv[1])).power_hs06()
"""


def test_no_copy_outlives_an_agent_that_is_killed(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", MEASURING, str(tmp_path)]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as agent:
        until(lambda: len(copies := children_of(agent.pid)) == 2 and all(map(is_nice, copies)), "two copies at work")
        copies = children_of(agent.pid)
        agent.kill()

    assert within(5.0, lambda: not any(map(runs, copies)))  # each alone would go on for twelve seconds of a processor


def test_a_copy_that_has_lost_its_agent_before_it_begins_does_not_begin() -> None:
    said = subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", *alone(db12, "0")], capture_output=True, check=False)

    assert (said.returncode, said.stdout) == (1, b"")


def children_of(pid: int) -> list[Stat]:
    return [stat for stat in all_stats() if stat.parent == pid]


def is_nice(copy: Stat) -> bool:
    return os.getpriority(os.PRIO_PROCESS, copy.process.pid) == 19  # it has got so far as to measure


def runs(copy: Stat) -> bool:
    return is_still(copy) and not ((now := stat_of(copy.process.pid)) is None or now.is_zombie)


def test_machine_is_known_by_its_processor_and_boot(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: EPYC 7702\n", encoding="ascii")
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("b-1\n", encoding="ascii")

    assert this_machine(tmp_path, 4) == Machine("EPYC 7702", "b-1", 4)
