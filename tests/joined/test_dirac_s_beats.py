"""What `bench/scale/lives.py` takes for granted of DIRAC's agent: what one heartbeat asks of DiracX half an hour on."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.joined.joined_stack import Joined
from tests.system.dirac_stack import CLIENT_S

BEAT = """
import sys
import DIRAC
DIRAC.initialize()
from DIRAC.Core.Security.DiracX import addTokenToPEM
from DIRAC.WorkloadManagementSystem.Client.JobStateUpdateClient import JobStateUpdateClient
added = addTokenToPEM(sys.argv[1], "labvo_user")
assert added["OK"], added["Message"]
for _ in range(2):
    sent = JobStateUpdateClient().sendHeartBeat(int(sys.argv[2]), {"LoadAverage": 1.0}, {})
    assert sent["OK"], sent["Message"]
    __import__("time").sleep(1.5)  # DiracX takes no two heartbeats of a job within a second
"""


@pytest.mark.long
def test_a_heartbeat_is_a_discovery_a_token_and_a_call(stack: Joined, tmp_path: Path) -> None:
    """Tokens live a minute here, so that each call finds one near its end, as a heartbeat each half an hour does."""
    stack.publish()
    (job,) = stack.submit('Executable = "/bin/true";')
    proxy = tmp_path / "proxy.pem"
    proxy.touch(mode=0o600)
    proxy.write_bytes(Path(stack.endpoint["user_proxy"]).read_bytes())
    environment = os.environ | stack.endpoint["dirac_env"] | {"X509_USER_PROXY": str(proxy), "TMPDIR": str(tmp_path)}
    with stack.settings(DIRACX_SERVICE_AUTH_ACCESS_TOKEN_EXPIRE_MINUTES="1"):
        since = stack.sizes()
        argv = [stack.endpoint["dirac_python"], "-c", BEAT, str(proxy), str(job)]
        done = subprocess.run(argv, check=False, env=environment, capture_output=True, text=True, timeout=CLIENT_S)
        assert done.returncode == 0, done.stderr[-2000:]
        asked = Counter(f"{line['method']} {line['path']}" for line in stack.seen("diracx", since))
    stack.client("admin", "delete", str(job))

    assert asked.pop("GET /api/auth/legacy-exchange") == 1  # for the proxy, by DIRAC's server
    assert asked == {
        "GET /.well-known/openid-configuration": 2,
        "POST /api/auth/token": 2,
        "PATCH /api/jobs/heartbeat": 2,
    }
