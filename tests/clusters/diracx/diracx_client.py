"""DiracX's own client for tests, with the token that DIRAC's client gets for X509_USER_PROXY; prints one JSON value.

submit --jdl JDL FILE...    a sandbox as DiracX's client packs it (.tar.zst), and a job with it
submit_many --jdl JDL --count N FILE...    the same, and several jobs with it
output JOB --into DIR       the files of its output sandboxes
kill JOB
pilots STAMP...             what DiracX says of pilots, by stamp
token                       the access token itself, for calls that DiracX's client does not make
"""

import argparse
import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

PROXY = Path(os.environ["X509_USER_PROXY"])


def show_token() -> None:
    """Let DIRAC's client put a token into a copy of the proxy, and DiracX's client find it."""
    own = Path(os.environ["TMPDIR"]) / "proxy.pem"
    own.touch(mode=0o600)
    own.write_text(PROXY.read_text(encoding="ascii"), encoding="ascii")
    group = "labvo_admin" if "admin" in PROXY.name else "labvo_user"
    done = resolve_name("DIRAC.Core.Security.DiracX:addTokenToPEM")(str(own), group)
    if not done["OK"]:
        sys.exit(done["Message"])
    token = resolve_name("DIRAC.Core.Security.DiracX:diracxTokenFromPEM")(str(own))
    kept = own.with_suffix(".json")
    kept.touch(mode=0o600)
    kept.write_text(json.dumps(token), encoding="ascii")
    os.environ["DIRACX_CREDENTIALS_PATH"] = str(kept)


async def submit(asked: argparse.Namespace, client: Any) -> int:
    """Store the files and submit; the job's number."""
    (job,) = await submit_many(asked, client)
    return job


async def submit_many(asked: argparse.Namespace, client: Any) -> list[int]:
    """Store the files once and submit; the jobs' numbers."""
    jdl = asked.jdl
    if asked.files:
        pfn = await resolve_name("diracx.api.jobs:create_sandbox")(asked.files, client=client)
        jdl += f'\nInputSandbox = {{"{pfn}"}};'
    return [int(made.job_id) for made in await client.jobs.submit_jdl_jobs([jdl] * asked.count)]


async def output(asked: argparse.Namespace, client: Any) -> list[str]:
    """Download; the names of the files."""
    asked.into.mkdir(parents=True, exist_ok=True)
    for pfn in await client.jobs.get_job_sandbox(asked.job, "output"):
        await resolve_name("diracx.api.jobs:download_sandbox")(pfn, asked.into, client=client)
    return sorted(path.name for path in asked.into.iterdir())


async def kill(asked: argparse.Namespace, client: Any) -> None:
    """Kill as a user does."""
    words = {"Status": "Killed", "MinorStatus": "Marked for termination", "Source": "User"}
    await client.jobs.set_job_statuses({str(asked.job): {datetime.now(UTC).isoformat(): words}})


async def pilots(asked: argparse.Namespace, client: Any) -> dict[str, Any]:
    """What DiracX has of pilots that have these stamps."""
    wanted = {"parameter": "PilotStamp", "operator": "in", "values": asked.stamps}
    return {found["PilotStamp"]: found for found in await client.pilots.search(search=[wanted])}


async def token(_asked: argparse.Namespace, _client: Any) -> str:
    """The access token."""
    kept = json.loads(Path(os.environ["DIRACX_CREDENTIALS_PATH"]).read_text(encoding="ascii"))
    return str(kept["access_token"])


def arguments() -> argparse.Namespace:
    """Read them before DIRAC does, for it reads sys.argv too."""
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = whole.add_subparsers(required=True)
    for run in (submit, submit_many, output, kill, pilots, token):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        if run in (submit, submit_many):
            command.add_argument("--jdl", required=True)
            command.add_argument("--count", type=int, default=1)
            command.add_argument("files", nargs="*", type=Path)
        elif run is pilots:
            command.add_argument("stamps", nargs="+")
        elif run is not token:
            command.add_argument("job", type=int)
        if run is output:
            command.add_argument("--into", required=True, type=Path)
    return whole.parse_args()


async def answered(asked: argparse.Namespace) -> Any:
    """Carry out what was asked."""
    async with resolve_name("diracx.client.aio:AsyncDiracClient")() as client:
        return await asked.run(asked, client)


def main() -> None:
    """Say nothing but the answer on standard output: DIRAC logs there."""
    asked = arguments()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.argv = sys.argv[:1]
    resolve_name("DIRAC:initialize")()
    show_token()
    with answer_to:
        json.dump(asyncio.run(answered(asked)), answer_to, default=str)


if __name__ == "__main__":
    main()
