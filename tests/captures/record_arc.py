"""Record what ARC's REST interface answers: record_arc.py, as root, with the CE of tests/clusters/arc up and idle.

Each answer is one file NAME.json or NAME.txt; index.tsv has name, HTTP status, request. Takes two minutes.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from ce_backends.arc import activities  # noqa: E402
from ce_backends.arc_rest import Credential, Rest  # noqa: E402
from ce_backends.batch_options import Needs  # noqa: E402
from ce_backends.batch_system import BatchJob  # noqa: E402

HOME = Path(os.environ.get("GRIDPILOT_CLUSTERS", "/var/tmp/gridpilot-clusters")) / "arc"
INTO = Path(__file__).parent / "arc"
URL = "https://localhost:19460/arex/rest/1.0"
SCRIPT = b'#!/bin/sh\n[ "$1" != exit7 ] || exit 7\n[ "$1" != sleep ] || sleep 600\necho done > result.tar\n'


class Recorder:
    def __init__(self) -> None:
        INTO.mkdir(exist_ok=True)
        credential = Credential(proxy=HOME / "user/proxy", token=None, ca_directory=HOME / "certificates")
        self.rest = Rest(URL, credential, timeout_s=60)
        self.index: list[str] = []

    def keep(self, name: str, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> bytes:
        """Make a request and keep its answer."""
        answer = self.rest.call(method, path, body=body, kind=kind)
        (INTO / f"{name}.txt").write_bytes(answer.body)
        self.index.append(f"{name}\t{answer.status}\t{method} {path.partition('/jobs/')[0] or path}\n")
        (INTO / "index.tsv").write_text("".join(self.index))
        return answer.body

    def act(self, name: str, action: str, *job_ids: str) -> bytes:
        body = json.dumps({"job": [{"id": job_id} for job_id in job_ids]}).encode()
        return self.keep(name, "POST", f"/jobs?action={action}", body)

    def submit(self, name: str, stamps: list[str], needs: Needs = Needs(queue="fork")) -> list[str]:  # noqa: B008
        job = BatchJob(
            name=stamps[0], size=len(stamps), script="", log="", processors=1, memory_mb=0, gpus=0, wall_s=600
        )
        body = self.keep(name, "POST", "/jobs?action=new", activities(job, stamps, needs, ""), kind="application/xml")
        listed = json.loads(body)["job"]
        return [one["id"] for one in (listed if isinstance(listed, list) else [listed]) if "id" in one]

    def upload(self, job_id: str) -> None:
        for name, content in (("launcher", SCRIPT), ("task.tar", b"x")):
            self.rest.call("PUT", f"/jobs/{job_id}/session/{name}", body=content)

    def wait(self, job_id: str, states: set[str]) -> None:
        while self.rest.act("status", [job_id])[job_id]["state"] not in states:
            time.sleep(0.5)


def main() -> None:
    """Bring jobs into every state and keep what is said about them."""
    recorder = Recorder()
    ok, waits = recorder.submit("new_one", ["ok"])[0], recorder.submit("new_without_files", ["waits"])[0]
    several = recorder.submit("new_several", ["exit7", "sleep"])
    recorder.submit("new_bad_queue", ["nowhere"], Needs(queue="nowhere"))
    recorder.keep("new_garbage", "POST", "/jobs?action=new", b"<nonsense/>", "application/xml")
    for job_id in (ok, *several):
        recorder.upload(job_id)
    recorder.wait(several[1], {"RUNNING"})
    recorder.act("status_one", "status", several[1])
    recorder.keep("jobs_several", "GET", "/jobs")
    for job_id in (ok, several[0]):
        recorder.wait(job_id, {"FINISHED", "FAILED"})
    recorder.act("status_several", "status", ok, *several, waits, "nosuchjob")
    recorder.act("status_unknown", "status", "nosuchjob")
    recorder.act("info_finished", "info", ok)
    recorder.act("info_failed", "info", several[0])
    recorder.act("info_several", "info", ok, *several, waits, "nosuchjob")
    recorder.act("kill_several", "kill", several[1], waits, ok, "nosuchjob")
    recorder.wait(several[1], {"KILLED"})
    recorder.act("status_killed", "status", several[1], waits)
    recorder.act("info_killed", "info", several[1])
    recorder.act("clean_several", "clean", ok, *several, waits, "nosuchjob")
    recorder.keep("info_of_ce", "GET", "/info")
    while recorder.rest.call("GET", "/jobs").body:
        time.sleep(0.5)
    recorder.keep("jobs_none", "GET", "/jobs")


if __name__ == "__main__":
    main()
    subprocess.run(["ls", INTO], check=True)
