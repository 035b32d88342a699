"""What `make systems` relies on: the manifest, where a system listens, the logs that are kept when a test fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.systems import daemon_logs
from tests.systems.listening import beyond_loopback
from tests.systems.manifest import MANIFEST, Generation

CLUSTERS = Path(__file__).parents[1] / "clusters"
LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], 0))
print("listens", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("row", MANIFEST, ids=lambda row: f"{row.system} {row.name}")
def test_a_row_was_run_with_a_version_of_its_generation_and_has_scripts(row: Generation) -> None:
    assert f"{row.last}.".startswith(f"{row.version}.")
    assert (CLUSTERS / row.system / "up.sh").is_file()


def test_no_two_rows_are_the_same_system() -> None:
    keys = [(row.system, *sorted(row.variables.items())) for row in MANIFEST]

    assert len(set(keys)) == len(keys)


# how the daemon is started below the system's mark; some daemons write over their environment
WITH_MARK = ["/usr/bin/env"]
BELOW_MARK = ["/bin/sh", "-c", 'env -i "$@"; true', "sh"]


@pytest.mark.parametrize("start", [WITH_MARK, BELOW_MARK], ids=["with mark", "below mark"])
@pytest.mark.parametrize(("address", "is_far"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_a_daemon_that_listens_on_all_addresses_is_seen_and_one_on_loopback_is_well(
    start: list[str], address: str, is_far: bool, tmp_path: Path
) -> None:
    mark = f"GRIDPILOT_TEST_SYSTEM={tmp_path}"
    argv = ["/usr/bin/env", mark, *start, sys.executable, "-c", LISTEN, address]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()

        found = beyond_loopback(mark)

        daemon.communicate()
    assert bool(found) is is_far


def test_the_ends_of_all_logs_are_kept_and_those_of_an_earlier_failure_go(tmp_path: Path) -> None:
    system = tmp_path / "clusters/slurm-20.11"
    (system / "log").mkdir(parents=True)
    (system / "log/slurmctld.log").write_bytes(b"old" + b"x" * daemon_logs.TAIL_BYTES)
    (system / "secret").write_text("no log")
    earlier = tmp_path / "logs/slurm-20.11/log/earlier.log"
    earlier.parent.mkdir(parents=True)
    earlier.touch()

    folder = daemon_logs.keep(system, tmp_path / "logs")

    assert folder == tmp_path / "logs/slurm-20.11"
    assert [path.relative_to(folder) for path in folder.rglob("*.log")] == [Path("log/slurmctld.log")]
    assert (folder / "log/slurmctld.log").read_bytes() == b"x" * daemon_logs.TAIL_BYTES
