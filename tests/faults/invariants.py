"""What must hold after every scenario: nothing lost, nothing run twice, nothing left behind, truth, secrecy."""

import json
import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path

from agents.jobs.outcome import TAKEN_AWAY
from tests.faults.box import is_alive, that_hold, with_variable
from tests.faults.scene import Scene
from tests.waiting import within

ENDS = ("Done", "Completed", "Failed", "Killed", "Rescheduled")
OPEN = ("Matched", "Running", "Completing", "Stalled", "Rescheduled")
COOKIE = "GRIDPILOT_TASK"
GONE_WITHIN_S = 2.0
LARGEST_LOG_BYTES = 50 * 10**6


def check(scene: Scene, *, without_data: Collection[int] = ()) -> None:
    """Assert all five invariants; every breach is named.

    Args:
        scene: the scenario's.
        without_data: jobs whose output data could not get where they belong: these have Failed for that, and must have.
    """
    scene.is_checked = True
    breaches = [
        *(f"I1 lost: {text}" for text in _lost(scene)),
        *(f"I2 twice: {text}" for text in _twice(scene)),
        *(f"I3 left behind: {text}" for text in _left_behind(scene)),
        *(f"I4 untrue: {text}" for text in _untrue(scene, without_data)),
        *(f"I5 secret: {text}" for text in _told_secrets(scene)),
    ]
    wrote = "\n".join(f"--- {process.out.name}\n{process.written()[-3000:]}" for process in scene.processes[-2:])
    assert not breaches, "\n".join([*breaches, wrote])


def matches(scene: Scene, job_id: int) -> int:
    """Return how often the Matcher handed the job out."""
    return len(
        {when for status, _, when, source in scene.history(job_id) if (status, source) == ("Matched", "Matcher")}
    )


def reported_ends(scene: Scene, job_id: int) -> list[str]:
    """Return the ends that the agent reported of a job; the same report told again counts once."""
    told = {
        when: status
        for status, _, when, source in scene.history(job_id)
        if source.startswith(("JobAgent@", "JobWrapper@")) and status in ENDS
    }
    return [told[when] for when in sorted(told)]


def _lost(scene: Scene) -> Iterable[str]:
    statuses = scene.statuses()
    for job_id in scene.jobs:
        handed_out, ends = matches(scene, job_id), reported_ends(scene, job_id)
        if statuses[job_id] in OPEN:
            yield f"job {job_id} is still {statuses[job_id]}"
        if len(ends) != handed_out:
            yield f"job {job_id} was matched {handed_out} times and ended {len(ends)} times: {ends}"


def _twice(scene: Scene) -> Iterable[str]:
    begun = [(line.job_id, line.stamp) for line in scene.books.lines() if line.what == "begin"]
    for pair in sorted({pair for pair in begun if begun.count(pair) > 1}):
        yield f"task {pair[1]} of job {pair[0]} began {begun.count(pair)} times"
    for job_id in scene.jobs:
        stamps = {stamp for job, stamp in begun if job == job_id}
        handed_out = matches(scene, job_id)
        if len(stamps) > handed_out:
            yield f"job {job_id} was matched {handed_out} times and began {len(stamps)} times"
        running = _started(scene, job_id)
        if len(running) > handed_out:
            yield f"job {job_id} was matched {handed_out} times and told Running {len(running)} times"


def _started(scene: Scene, job_id: int) -> set[str]:
    """Return when the agent said that the payload runs; a remark of the watchdog is no start."""
    rows: list[list[str]] = scene.client.call("JobMonitoring", "getJobLoggingInfo", job_id)
    return {row[3] for row in rows if row[:2] == ["Running", "Application"] and not row[2].startswith("Watchdog: ")}


def _left_behind(scene: Scene) -> Iterable[str]:
    within(GONE_WITHIN_S, lambda: not _processes(scene))
    yield from _processes(scene)
    yield from (f"control group {path.name}" for path in scene.box.inner_groups())
    for folder in (scene.work_dir / "jobs", scene.work_dir / "tasks", scene.temporary):
        yield from (f"{path.relative_to(scene.folder)}" for path in (folder.iterdir() if folder.is_dir() else ()))
    for text, what in ((_proc("self/mountinfo"), "mount"), (_proc("net/unix"), "socket")):
        yield from (f"{what} {line}" for line in text.splitlines() if f"{scene.work_dir}/" in line)
    for place in (Path("/tmp"), Path("/dev/shm")):
        yield from (str(path) for path in place.iterdir() if scene.name in path.name)
    if not scene.canary.is_alive():
        yield "the canary is dead: a process of the same user that had nothing to do with the scenario"


def _processes(scene: Scene) -> list[str]:
    """Return what still runs, by control group, files, cookie and the pids that payloads wrote down."""
    lines = scene.books.lines()
    found = dict.fromkeys(scene.box.pids(), "in the control group")
    found |= {pid: f"holds files here: {command}" for pid, command in that_hold(scene.work_dir).items()}
    stamps = {line.stamp for line in lines}
    found |= {pid: f"has the cookie: {command}" for pid, command in with_variable(COOKIE, stamps).items()}
    return [f"process {pid} {why}" for pid, why in found.items() if is_alive(pid)]


def _proc(name: str) -> str:
    return Path("/proc", name).read_text(encoding="utf-8", errors="replace")


def _untrue(scene: Scene, without_data: Collection[int]) -> Iterable[str]:
    """Compare what the WMS believes, what the agent wrote down and what payloads say of themselves."""
    ends = scene.books.ends()
    for job_id in scene.jobs:
        told = scene.status(job_id)
        codes = ends.get(job_id, [])
        if told["Status"] == "Done" and codes[-1:] != [0]:
            yield f"job {job_id} is Done, its payload wrote down {codes or 'no end'}"
        if told["Status"] in ("Done", "Failed") and codes and told.get("ExitCode", str(codes[-1])) != str(codes[-1]):
            yield f"job {job_id} has ExitCode {told['ExitCode']}, its payload wrote down {codes[-1]}"
        said = (told["Status"], told["MinorStatus"])
        if job_id in without_data and said != ("Failed", "Uploading Output Data"):
            yield f"job {job_id} has lost its output data, and is {said}"
        if told["Status"] == "Failed" and codes[-1:] == [0] and job_id not in without_data:
            yield f"job {job_id} is Failed ({told['MinorStatus']}), its payload ended with 0"
    yield from _ledger_differs(scene)


def _ledger_differs(scene: Scene) -> Iterable[str]:
    path = scene.work_dir / "ledger.sqlite"
    if not path.exists():
        return
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        is_ledger = db.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'job'").fetchone() != (0,)
        query = "SELECT job_id, attempt, phase, body FROM job ORDER BY attempt"
        rows = db.execute(query).fetchall() if is_ledger else []
    db.close()
    last = {job_id: (phase, json.loads(body)) for job_id, _, phase, body in rows}
    for job_id, (phase, body) in last.items():
        if phase != "closed":
            yield f"the ledger has job {job_id} in phase {phase}"
        ends = reported_ends(scene, job_id)
        if body["minor_status"] == TAKEN_AWAY.minor_status:  # the ledger says that others know how it ended
            continue
        if ends and body["status"] != ends[-1]:
            yield f"the ledger says job {job_id} ended {body['status']}, the WMS was told {ends[-1]}"


def _told_secrets(scene: Scene) -> Iterable[str]:
    """Look for the private key of the proxy in everything that was written, and for its path in payloads' hands."""
    secret = _key_line(Path(scene.endpoint.pilot_proxy))
    home = Path(scene.endpoint.ca_dir).parents[1]
    logs = [*scene.folder.rglob("*"), *(home / "pilot_logs").glob("*"), home / "server.log", home / "serve.out"]
    yield from (f"{path.name} has the private key" for path in logs if _contains(path, secret))
    yield from (f"command line: {text[:200]}" for text in scene.seen_commands if secret in text)
    for path in scene.books.environs.iterdir():
        text = path.read_text(encoding="utf-8", errors="replace")
        if scene.endpoint.pilot_proxy in text or secret in text:
            yield f"the payload of task {path.name} was told where the pilot's proxy is"


def _key_line(proxy: Path) -> str:
    """Return a line from the middle of the private key."""
    lines = proxy.read_text(encoding="ascii").splitlines()
    begin = next(number for number, line in enumerate(lines) if "PRIVATE KEY" in line)
    return lines[begin + 5]


def _contains(path: Path, secret: str) -> bool:
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size > LARGEST_LOG_BYTES:
            return False
        return secret.encode() in path.read_bytes()
    except OSError:  # a payload's own doing
        return False
