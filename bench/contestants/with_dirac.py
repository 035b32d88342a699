"""DIRAC's PoolCE: TASKS times `exec /bin/true` in SLOTS processes, the next one submitted when one has ended.

Run by the Python of an environment with DIRAC, in an empty directory, as `with_dirac.py TASKS SLOTS`; prints one line
of JSON. The pilot.cfg is there because the PoolCE rewrites it for each job, as it does on a worker node.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import DIRAC

PILOT_CFG = "Resources\n{\n  Computing\n  {\n    CEDefaults\n    {\n      NumberOfProcessors = %d\n    }\n  }\n}\n"
LOOK_AGAIN_S = 0.0005  # the PoolCE tells nobody when a job has ended
PATIENCE_S = 60.0


def main() -> int:
    tasks, slots = map(int, sys.argv[1:])
    Path("pilot.cfg").write_text(PILOT_CFG % slots, encoding="utf-8")
    DIRAC.initialize(require_auth=False, log_level="ERROR")
    seconds = measure(tasks, slots)
    print(json.dumps({"seconds": seconds, "version": version("DIRAC"), "remark": "no wrapper, no journal"}))
    return 0


def measure(tasks: int, slots: int) -> float:
    from DIRAC.Resources.Computing.PoolComputingElement import PoolComputingElement  # noqa: PLC0415 - after initialize

    ce = PoolComputingElement("bench")
    ce.setParameters({"NumberOfProcessors": slots})
    started = time.perf_counter()
    for number in range(tasks):
        wait_until_at_most(ce, number, slots - 1)
        script = Path(f"job-{number}.sh")  # the CE deletes it
        script.write_text("#!/bin/sh\nexec /bin/true\n", encoding="ascii")
        script.chmod(0o755)
        submitted = ce.submitJob(str(script), None, jobDesc={"jobID": number + 1})
        assert submitted["OK"], submitted
    wait_until_at_most(ce, tasks, 0)
    seconds = time.perf_counter() - started
    bad = [result for result in ce.taskResults.values() if not result["OK"] or result["Value"] != 0]
    assert not bad, f"{len(bad)} jobs failed: {bad[0]}"
    ce.shutdown()
    return seconds


def wait_until_at_most(ce: "object", submitted: int, running: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while submitted - len(ce.taskResults) > running:
        assert time.monotonic() < deadline, f"no job ended within {PATIENCE_S} s"
        time.sleep(LOOK_AGAIN_S)


if __name__ == "__main__":
    sys.exit(main())
