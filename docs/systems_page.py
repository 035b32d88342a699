"""Writes `docs/systems.md` out of the manifest of `make systems`: `make docs`."""

from collections.abc import Iterator
from pathlib import Path

from tests.systems.manifest import DEBIAN, MANIFEST, Generation

PAGE = Path(__file__).with_name("systems.md")
BEGINNING = """\
# Which batch systems, in which versions

Written by `make docs` from `tests/systems/manifest.py`; do not edit.

Each of these is started on one machine, for its own tests only, and the conformance suite runs there as an
unprivileged user; that fails where the version is another than the manifest's, and where a daemon can be reached from
other machines. `make systems-canary` fetches the newest packages that Debian sid has, and takes what is slow. What the
daemons wrote is kept in `.logs/` when a test fails.
"""
HEAD = """\
| system | version | last run with | configuration | Debian | run by |
|---|---|---|---|---|---|"""
ELSEWHERE = """
Computing elements without a batch system are run too, in the version that Debian 12 has: OpenSSH 9.2, bubblewrap 0.8,
Podman 4.3; Apptainer 1.4.5 from Debian sid. So are real machines, one in `make systems` and ten in `make cloud`: qemu
7.2, Debian 12 with its cloud kernel 6.1 and cloud-init 22.4.

## Not run
"""
NOT_RUN = (
    (
        "PBS Professional, OpenPBS, Torque",
        "no package in Debian 11 to 13, sid or PyPI",
        "tests against what their manuals say, `tests/unit/test_pbs_as_documented.py`",
    ),
    (
        "LSF",
        "not free: neither a package nor a licence",
        "tests against what its manuals say, `tests/unit/test_lsf_as_documented.py`",
    ),
    (
        "Univa and Altair Grid Engine",
        "not free; Son of Grid Engine has their commands",
        "answers met in the field, `tests/field`",
    ),
    ("HTCondor-CE", "no package in Debian; its schedd is HTCondor's", "a remote schedd, by token"),
    (
        "OAR 2.6 (Debian 13)",
        "its commands are setuid and read one fixed file: in a tree next to the machine no user could call them",
        "OAR 2.5",
    ),
    ("OAR 3", "no package in Debian", "none"),
)


def page() -> str:
    """Return the page's text."""
    return "\n".join([BEGINNING, HEAD, *_rows(), ELSEWHERE, *_not_run()]) + "\n"


def _rows() -> Iterator[str]:
    for row in MANIFEST:
        yield f"| {row.title} | {row.version} | {row.last} | {row.configuration} | {_debian(row)} | {_run_by(row)} |"


def _not_run() -> Iterator[str]:
    yield "| system | why | what there is instead |\n|---|---|---|"
    for row in NOT_RUN:
        yield f"| {' | '.join(row)} |"


def _debian(row: Generation) -> str:
    number = DEBIAN.get(row.suite)
    return f"{number} ({row.suite})" if number else row.suite


def _run_by(row: Generation) -> str:
    targets = [] if row.slow else ["`make systems`"]
    return ", ".join(targets + ["`make systems-canary`"] * (row.slow or row.newest))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
