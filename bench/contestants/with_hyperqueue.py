"""HyperQueue's LocalCluster: TASKS times /bin/true on one worker with SLOTS cores.

Run by the Python of HyperQueue's own environment, in an empty directory, as `with_hyperqueue.py TASKS SLOTS`; prints
one line of JSON. Its client looks for the end once a second, so the end is taken from files that the last tasks touch.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from hyperqueue import Job
from hyperqueue.cluster import LocalCluster, WorkerConfig


def main() -> int:
    tasks, slots = map(int, sys.argv[1:])
    last = [Path(f"last-{number}").absolute() for number in range(slots)]
    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig(cores=slots))
        client = cluster.client()
        job = Job()
        for _ in range(tasks - slots):
            job.program(["/bin/true"])
        for path in last:
            job.program(["/usr/bin/touch", str(path)])
        started = time.time()  # the wall clock: it is compared with the files' times
        submitted = client.submit(job)
        client.wait_for_jobs([submitted])
        waited_s = time.time() - started
    seconds = max(path.stat().st_mtime for path in last) - started
    remark = f"its client saw the end after {waited_s:.2f} s"
    print(json.dumps({"seconds": seconds, "version": version("hyperqueue"), "remark": remark}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
