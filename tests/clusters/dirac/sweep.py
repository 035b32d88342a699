"""Delete empty task queues by DIRAC's own method; run by sweep.sh in the servers' environment."""

import sys
from pkgutil import resolve_name

import stack


def main() -> None:
    """Fail when DIRAC does."""
    resolve_name("DIRAC:initialize")(host_credentials=stack.host_credentials())
    done = resolve_name("DIRAC.WorkloadManagementSystem.DB.TaskQueueDB:TaskQueueDB")().cleanOrphanedTaskQueues()
    if not done["OK"]:
        sys.exit(f"empty task queues: {done['Message']}")


if __name__ == "__main__":
    main()
