"""Nothing but posix_spawn: TASKS times /bin/true, SLOTS at a time, the next one started when one has ended.

Run by any Python as `with_posix_spawn.py TASKS SLOTS`; prints one line of JSON. It is what the kernel and Python take
for the same programs: no journal, no containment, no directory.
"""

import json
import os
import platform
import sys
import time

PROGRAM = "/bin/true"


def main() -> int:
    tasks, slots = map(int, sys.argv[1:])
    started = time.perf_counter()
    begun = ended = 0
    while ended < tasks:
        while begun < tasks and begun - ended < slots:
            os.posix_spawn(PROGRAM, [PROGRAM], {})
            begun += 1
        _, status = os.wait()
        assert status == 0, f"{PROGRAM} ended with wait status {status}"
        ended += 1
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "version": f"Python {platform.python_version()}", "remark": "no ledger"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
