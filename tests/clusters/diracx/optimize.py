"""Tell the OptimizationMind of new jobs, as DIRAC's JobManager does: `optimize.py JOB...`, with the host certificate.

DiracX tells nobody: a job that was submitted to it waits until the Mind looks into the database itself.
"""

import sys
from pkgutil import resolve_name


def main() -> None:
    """Send one message."""
    jobs = sorted(map(int, sys.argv[1:]))
    sys.argv = sys.argv[:1]
    resolve_name("DIRAC:initialize")(host_credentials=True)
    client = resolve_name("DIRAC.Core.DISET.MessageClient:MessageClient")("WorkloadManagement/OptimizationMind")
    for step in (lambda: client.connect(JobManager=True), lambda: client.createMessage("OptimizeJobs")):
        made = step()
        if not made["OK"]:
            sys.exit(made["Message"])
    made["Value"].jids = jobs
    sent = client.sendMessage(made["Value"])
    sys.exit(0 if sent["OK"] else sent["Message"])


if __name__ == "__main__":
    main()
