"""From nothing to the first match: gridpilot's bundle, next to what DIRAC's pilot has to do before its first match.

DIRAC's pilot installs DIRAC and starts one of its scripts for each step. Its own installer (DIRACOS, conda) is in no
registry that a benchmark can reach, so its side is a lower bound: DIRAC[pilot] installed by pip from a filled cache,
and each script of the standard command list started with `-h`, which is its imports and none of its work.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from agents.local_wms.client import Client, connect
from agents.local_wms.home import Endpoint
from bench.report import Chapter, Finding, Spread, as_text
from bench.slot_refill import slow_wms

# Of Python's own files, what no environment has to bring: others' packages, tests, caches, what is for compilers.
NOT_OF_A_LIBRARY = re.compile(r"site-packages|test|__pycache__|config-.*")
ROOT = Path(__file__).parents[1]
ENVIRONMENTS = Path(os.environ.get("GRIDPILOT_BENCH") or Path.home() / ".cache" / "gridpilot-bench")
MATCH_S = 60.0
LOOK_S = 0.01
ANSWER_MS = 1000  # the agent hears of its match only when its CPU time has been read
BASELINE = "import ssl, sqlite3, requests, M2Crypto"
WANTED = {"one file": 2.0, "unpacked folder": 1.5}  # CPU time, in times that of the baseline
INSTALL_S = 900.0
SCRIPT_S = 120.0
# what the commands of DIRAC's pilot start, in their order (ConfigureBasics … LaunchAgent)
SCRIPTS = (
    "dirac-configure",
    "dirac-admin-add-pilot",
    "dirac-resource-get-parameters",
    "dirac-wms-get-wn-parameters",
    "dirac-platform",
    "dirac-wms-cpu-normalization",
    "dirac-wms-get-queue-cpu-time",
    "dirac-agent",
)
# files of all distributions that DIRAC[pilot] needs, by its own metadata
CLOSURE = """
import re
from importlib import metadata
from packaging.requirements import Requirement
seen, waiting, size = set(), [Requirement("DIRAC[pilot]")], 0
while waiting:
    wanted = waiting.pop()
    name = re.sub(r"[-_.]+", "-", wanted.name).lower()
    if name in seen:
        continue
    seen.add(name)
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        continue  # gfal2-python: in no wheel
    size += sum(file.locate().stat().st_size for file in found.files or [] if file.locate().exists())
    extras = wanted.extras | {""}
    for text in found.requires or []:
        needed = Requirement(text)
        if any(needed.marker is None or needed.marker.evaluate({"extra": extra}) for extra in extras):
            waiting.append(needed)
print(size)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """One start to the first match: by the clock, and the CPU time until then."""

    wall_s: float
    cpu_s: float


def measure(*, rounds: int, install: bool) -> Chapter:
    """Measure our starts and, where DIRAC is installed, what its pilot does instead."""
    with (
        tempfile.TemporaryDirectory(prefix="gridpilot-bench-") as name,
        slow_wms(Path(name, "wms"), ANSWER_MS) as endpoint,
    ):
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "tools.bundle", "--into", str(folder / "dist")], cwd=ROOT, check=True)
        turns = {"one file": folder / "dist/gridpilot.pyz", "unpacked folder": folder / "dist/gridpilot/start.py"}
        client = connect(endpoint)
        ours: dict[str, list[Start]] = {what: [] for what in turns}
        theirs: list[float] = []
        baselines: list[float] = []
        for turn in range(rounds):
            baselines.append(_baseline_cpu_s())
            for what, start in turns.items():
                ours[what].append(_first_match(client, endpoint, start, folder / f"{what}-{turn}".replace(" ", "-")))
            theirs += _scripts_s()
        sizes = _sizes(folder / "dist/gridpilot")
    return _chapter(ours, baselines, theirs, _install_s() if install else None, sizes)


def _node_python() -> str:
    """Return a Python itself: what is called python3 may be a script that looks for one."""
    return next((path for path in ("/usr/bin/python3",) if Path(path).exists()), os.path.realpath(sys.executable))


def _first_match(client: Client, endpoint: Endpoint, start: Path, work: Path) -> Start:
    """Start a pilot, and wait for the Matcher's note that its job is matched."""
    work.mkdir()
    jdl = work / "job.jdl"
    jdl.write_text('Executable = "/bin/true"; CPUTime = 300;', encoding="utf-8")
    (job_id,) = client.submit(jdl)
    argv = [
        _node_python(),
        str(start),
        "-n",
        endpoint.site,
        "-N",
        endpoint.ce,
        "-Q",
        endpoint.queue,
        "-y",
        "Pool",
        "-P",
        "1",
    ]
    argv += ["--wnVO", endpoint.vo, "-C", endpoint.configuration, "--work-dir", str(work)]
    environment = {**os.environ, "X509_USER_PROXY": endpoint.pilot_proxy, "X509_CERT_DIR": endpoint.ca_dir}
    began = datetime.now(UTC)
    with (work / "out").open("wb") as out:
        pilot = subprocess.Popen(argv, cwd=work, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        matched = _matched(client, job_id, pilot)
        return Start((matched - began).total_seconds(), _cpu_s(psutil.Process(pilot.pid)))
    finally:
        pilot.send_signal(signal.SIGTERM)
        pilot.wait(MATCH_S)
        client.call("JobManager", "killJob", [job_id])  # handed back, it would be what the next pilot runs first


def _baseline_cpu_s() -> float:
    """Return the CPU time that a Python takes to import what the agent is made of."""
    process = subprocess.Popen([sys.executable, "-c", BASELINE])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{BASELINE}: exit code {process.returncode}"
    return used.ru_utime + used.ru_stime


def _cpu_s(pilot: psutil.Process) -> float:
    """Return the CPU time that a pilot and those below it have used, those that have ended too."""
    times = [process.cpu_times() for process in (pilot, *pilot.children(recursive=True))]
    return sum(each.user + each.system + each.children_user + each.children_system for each in times)


def _matched(client: Client, job_id: int, pilot: "subprocess.Popen[bytes]") -> datetime:
    deadline = time.monotonic() + MATCH_S
    while time.monotonic() < deadline and pilot.poll() is None:
        for row in client.call("JobMonitoring", "getJobLoggingInfo", job_id):
            if row[0] == "Matched":
                return datetime.fromisoformat(row[3]).replace(tzinfo=UTC)
        time.sleep(LOOK_S)
    raise SystemExit("nothing was matched in time")


def _scripts_s() -> list[float]:
    """Return the time of all scripts together, [] where DIRAC is not installed."""
    folder = ENVIRONMENTS / "dirac" / "bin"
    if not (folder / SCRIPTS[0]).exists():
        return []
    return [sum(_timed(lambda script=script: _run([str(folder / script), "-h"])) for script in SCRIPTS)]


def _run(argv: Sequence[str]) -> None:
    subprocess.run(argv, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SCRIPT_S)


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _install_s() -> float | None:
    """Return the time that pip takes to install what the benchmarks' DIRAC consists of, downloads in its cache."""
    python = ENVIRONMENTS / "dirac" / "bin" / "python"
    if not python.exists():
        return None
    frozen = subprocess.run([str(python), "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        venv = Path(folder, "venv")
        subprocess.run([str(python), "-m", "venv", str(venv)], check=True)
        pins = Path(folder, "pins")
        pins.write_text(frozen, encoding="utf-8")
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(pins)]
        subprocess.run(pip, check=True, timeout=INSTALL_S)  # fills the cache
        subprocess.run([str(python), "-m", "venv", "--clear", str(venv)], check=True)
        return _timed(lambda: subprocess.run(pip, check=True, timeout=INSTALL_S) and None)


def _sizes(tree: Path) -> dict[str, float]:
    """Return MB (10^6 bytes) of our parts and of DIRAC's packages."""
    whole = _bytes_below(tree)
    packages = sum(path.stat().st_size for path in tree.rglob("site-packages/**/*") if path.is_file())
    sizes = {"ours": whole / 1e6, "our packages": packages / 1e6}
    python = ENVIRONMENTS / "dirac" / "bin" / "python"
    if python.exists():
        sizes["DIRAC[pilot]"] = int(_run_out([str(python), "-c", CLOSURE])) / 1e6
        library = _run_out([str(python), "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"])
        sizes["DIRAC's environment, with Python"] = _bytes_below(python.parents[1].resolve()) / 1e6
        sizes["DIRAC's environment, with Python"] += _bytes_below(Path(library), without=NOT_OF_A_LIBRARY) / 1e6
    return sizes


def _bytes_below(folder: Path, without: re.Pattern[str] = re.compile(r"(?!)")) -> int:
    files = (path for path in folder.rglob("*") if not any(map(without.fullmatch, path.relative_to(folder).parts)))
    return sum(path.stat().st_size for path in files if path.is_file())


def _run_out(argv: Sequence[str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def _beside_baseline(what: str, starts: Sequence[Start], baselines: Sequence[float]) -> Finding:
    spread = Spread([start.cpu_s / baseline for start, baseline in zip(starts, baselines, strict=True)])
    return Finding(
        what=f"CPU time to the first match / baseline, {what}",
        measured=spread.shown(1),
        target=f"{WANTED[what]} or less",
        is_met=spread.median <= WANTED[what],
    )


def _chapter(
    ours: dict[str, list[Start]],
    baselines: Sequence[float],
    theirs: list[float],
    install_s: float | None,
    sizes: dict[str, float],
) -> Chapter:
    rows = []
    for what, starts in ours.items():
        rows.append((f"gridpilot, {what}: start to first match, s", Spread([each.wall_s for each in starts]).shown(2)))
        rows.append((f"gridpilot, {what}: CPU time of it, s", Spread([each.cpu_s for each in starts]).shown(2)))
    rows.append((f"baseline, `python -c '{BASELINE}'`: CPU time, s", Spread(baselines).shown(2)))
    one_file = [each.wall_s for each in ours["one file"]]
    findings = [
        Finding(
            what="start to first match from the one file, s",
            measured=Spread(one_file).shown(2),
            target="1 or less",
            is_met=Spread(one_file).median <= 1.0,
        ),
        *(_beside_baseline(what, starts, baselines) for what, starts in ours.items()),
    ]
    if theirs:
        rows.append((f"DIRAC, its {len(SCRIPTS)} scripts with -h, s", Spread(theirs).shown(1)))
        spent = [mine / (other + (install_s or 0.0)) for mine, other in zip(one_file, theirs, strict=True)]
        counted = "installation and scripts" if install_s else "scripts alone, without any installation"
        findings.append(_ratio(f"our time to that of DIRAC's {counted}", Spread(spent), 1 / 10))
    if install_s:
        rows.append(("DIRAC, installed by pip from its cache, s", f"{install_s:.0f}"))
    rows += [(f"disk, {what}, MB", f"{size:.0f}") for what, size in sizes.items()]
    if theirs:
        whole, packages = sizes["ours"] / sizes["DIRAC[pilot]"], sizes["our packages"] / sizes["DIRAC[pilot]"]
        environment = sizes["ours"] / sizes["DIRAC's environment, with Python"]
        findings.append(_ratio("our disk to DIRAC's environment, each with its Python", Spread([environment]), 1 / 20))
        findings.append(_ratio("our disk, Python and libraries included, to DIRAC's packages", Spread([whole]), 1 / 20))
        findings.append(_ratio("our packages to DIRAC's packages", Spread([packages]), 1 / 20))
    return Chapter(
        title="From nothing to the first match",
        how=" ".join((__doc__ or "").split("\n\n", 1)[1].split()),
        columns=("figure", "median (least–most)"),
        rows=rows,
        findings=findings,
        notes=() if theirs else ("DIRAC is not installed here: bench/set_up.sh",),
    )


def _ratio(what: str, spread: Spread, target: float) -> Finding:
    return Finding(what=what, measured=spread.shown(3), target=f"{target:.2f} or less", is_met=spread.median <= target)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cold_start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--install", action="store_true", help="time the installation of DIRAC too: minutes")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chapter = measure(rounds=arguments.rounds, install=arguments.install)
    print(json.dumps({"rows": chapter.rows}, indent=1) if arguments.json else as_text(chapter))
    return 0


if __name__ == "__main__":
    sys.exit(main())
