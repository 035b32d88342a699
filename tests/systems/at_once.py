"""The conformance suite with several clauses at a time, as the unprivileged user."""

import json
from collections.abc import Mapping

from tests.systems.real_system import RealSystem


def verdicts(
    system: RealSystem, ce_type: str, options: Mapping[str, object], *, at_once: int, deadline_s: float = 90
) -> dict[str, str]:
    """Return the problem of each clause, empty if none."""
    assignments = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    how = ("--at-once", str(at_once), "--deadline", str(deadline_s), "--json")
    done = system.ce("test", ce_type, *assignments, *how)
    assert done.stdout, f"no verdicts: {done.stderr}"
    return {result["check"]: result["problem"] for result in json.loads(done.stdout)}
