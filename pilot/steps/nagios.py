"""NagiosProbes: run the probes that pilot.json names, and PUT what they said to its NagiosPutURL."""

from __future__ import annotations

import http.client
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

from pilot.errors import PilotError
from pilot.log import utc_now
from pilot.steps.extensions import folders
from pilot.steps.state import Pilot
from pilot.wms import client as services
from pilot.wms import credential

PROBE_S = 60.0
PUT_S = 30.0
UNKNOWN = 3  # of the Nagios plug-in interface: 0 fine, 1 warning, 2 critical, 3 unknown


def run_probes(pilot: Pilot) -> Pilot:
    """Run each probe within a minute; a bad end is logged and reported, and no reason to stop."""
    for name in pilot.settings.nagios_probes:
        code, output = _result(pilot, name)
        first_line = output.partition("\n")[0]
        tell = {0: pilot.log.info, 1: pilot.log.warning}.get(code, pilot.log.error)
        tell("nagios.probe", name=name, code=code, said=first_line)
        if pilot.settings.nagios_put_url:
            _put(pilot, name, f"{code} {int(time.time())}\n{output}")
    return pilot


def _result(pilot: Pilot, name: str) -> tuple[int, str]:
    probe = next(
        (folder / name for folder in folders(pilot.environ, pilot.work_dir) if (folder / name).is_file()), None
    )
    if probe is None:
        return 2, f"{name}: there is no such probe beside the pilot"
    try:
        probe.chmod(probe.stat().st_mode | 0o100)
        done = subprocess.run(
            [str(probe)],
            cwd=pilot.work_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return UNKNOWN, f"{name}: not done within {PROBE_S:.0f} s"
    except OSError as error:
        return UNKNOWN, f"{name}: cannot be run: {error.strerror}"
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _put(pilot: Pilot, name: str, body: str) -> None:
    """Leave the result at <NagiosPutURL><CE>/<probe>, with the pilot's credential."""
    place = urlsplit(pilot.settings.nagios_put_url)
    path = f"{place.path}{pilot.settings.ce}/{Path(name).name}"
    try:
        ours = credential.load(pilot.settings, pilot.environ, now=utc_now())
        context = services.tls(ours, credential.trusted_cas(pilot.settings, pilot.environ)[0])
        until = services.Until(time.monotonic() + PUT_S, time.monotonic)
        url = f"https://{place.netloc}{path}"
        status, _ = services.send("PUT", url, body.encode(), {}, context=context, until=until)
    except (OSError, http.client.HTTPException, PilotError) as error:
        pilot.log.warning("nagios.not_put", name=name, why=error)
        return
    pilot.log.info("nagios.put", name=name, path=path, status=status)
