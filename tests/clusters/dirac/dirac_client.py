"""DIRAC's own client, one sub-command for each thing a test asks of it; prints JSON on standard output.

Run by the stack's Python in the environment that endpoint.json calls `dirac_env`, with X509_USER_PROXY chosen:
`dirac_client.py submit --jdl 'Executable = "/bin/true";'`. Everything else that DIRAC prints goes to standard error.
Exit status 0, or 1 with one sentence when DIRAC refuses.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

FINAL = ("Done", "Failed", "Killed", "Deleted")
POLL_S = 0.5


def dirac(name: str) -> Any:
    """One of DIRAC's names, as module:name. Not imported above: importing DIRAC's clients reads the configuration."""
    return resolve_name(f"DIRAC.{name}")


def value(returned: Mapping[str, Any], doing: str) -> Any:
    """What a DIRAC call returned, or the end of this program."""
    if not returned["OK"]:
        raise SystemExit(f"{doing}: {returned['Message']}")
    return returned.get("Value")


def wms() -> Any:
    """DIRAC's client of the JobManager and the SandboxStore."""
    return dirac("WorkloadManagementSystem.Client.WMSClient:WMSClient")()


def monitoring() -> Any:
    """DIRAC's client of JobMonitoring."""
    return dirac("WorkloadManagementSystem.Client.JobMonitoringClient:JobMonitoringClient")()


def pilots() -> Any:
    """DIRAC's client of the PilotManager."""
    return dirac("WorkloadManagementSystem.Client.PilotManagerClient:PilotManagerClient")()


def submit(asked: argparse.Namespace) -> list[int]:
    """Submit a JDL as often as asked; local files of its InputSandbox are uploaded by DIRAC's client."""
    client = wms()
    jdl = asked.jdl or Path(asked.file).read_text(encoding="utf-8")
    submitted = [value(client.submitJob(jdl), "submit") for _ in range(asked.count)]
    # a parametric job answers with the list of its parts
    return [job for one in submitted for job in (one if isinstance(one, list) else [one])]


def submit_each(asked: argparse.Namespace) -> list[int]:
    """Submit several JDLs, once each; their numbers in the same order."""
    client = wms()
    return [value(client.submitJob(jdl), "submit") for jdl in asked.jdls]


def submit_api(asked: argparse.Namespace) -> dict[str, list[int]]:
    """Submit by DIRAC's own Job API what each function of a file makes of a job; the numbers of each by its name.

    Files that a job names lie beside that file.
    """
    path = Path(asked.file).resolve()
    os.chdir(path.parent)
    made: dict[str, Any] = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), made)
    found = {}
    for name, case in made.items():
        if not getattr(case, "__code__", None):
            continue
        job = dirac("Interfaces.API.Job:Job")()
        case(job)
        job.setTag(asked.tag)
        number = value(dirac("Interfaces.API.Dirac:Dirac")().submitJob(job), f"submit {name}")
        found[name] = number if isinstance(number, list) else [number]
    return found


def statuses(jobs: Sequence[int]) -> dict[str, Any]:
    """DIRAC's attributes of each job (Status, MinorStatus, Site, Owner, ...); a job it does not know is absent."""
    found = value(monitoring().getJobsSummary(list(jobs)), "status")
    return {str(job): attributes for job, attributes in found.items()}


def status(asked: argparse.Namespace) -> dict[str, Any]:
    """The statuses, and with --full each job's logging history, parameters and last heartbeat values."""
    found = statuses(asked.jobs)
    for job in found if asked.full else ():
        client = monitoring()
        found[job]["History"] = value(client.getJobLoggingInfo(int(job)), f"history of job {job}")
        parameters = value(client.getJobParameters(int(job)), f"parameters of job {job}")
        found[job]["Parameters"] = parameters.get(int(job), {})
        found[job]["HeartBeats"] = value(client.getJobHeartBeatData(int(job)), f"heart beats of job {job}")
    return found


def wait(asked: argparse.Namespace) -> dict[str, Any]:
    """The statuses once every job has one of the asked ones, by default a final one."""
    deadline = time.monotonic() + asked.timeout
    while True:
        found = statuses(asked.jobs)
        are = {job: attributes["Status"] for job, attributes in found.items()}
        if are.keys() == set(map(str, asked.jobs)) and set(are.values()) <= set(asked.status):
            return found
        if time.monotonic() > deadline:
            raise SystemExit(f"after {asked.timeout} s not every job is {' or '.join(asked.status)}: {are}")
        time.sleep(POLL_S)


def output(asked: argparse.Namespace) -> list[str]:
    """Download and unpack a job's output sandbox with DIRAC's own client; the names of the files."""
    client = dirac("Interfaces.API.Dirac:Dirac")()
    value(client.getOutputSandbox(asked.job, outputDir=asked.into, noJobDir=True), f"output of job {asked.job}")
    into = Path(asked.into)
    return sorted(str(path.relative_to(into)) for path in into.rglob("*") if path.is_file())


def outputs(asked: argparse.Namespace) -> list[int]:
    """Download the output sandboxes of several jobs, each into a folder of its number; the jobs that had one."""
    client = dirac("Interfaces.API.Dirac:Dirac")()
    return [job for job in asked.jobs if client.getOutputSandbox(job, outputDir=asked.into)["OK"]]


def act(asked: argparse.Namespace) -> list[int]:
    """Kill, reschedule or delete jobs; those that DIRAC did it to."""
    method = {"kill": "killJob", "reschedule": "rescheduleJob", "delete": "deleteJob"}[asked.name]
    done = value(getattr(wms(), method)(list(asked.jobs)), f"{asked.name} {asked.jobs}")
    return done if isinstance(done, list) else [done]


def jdl(asked: argparse.Namespace) -> str:
    """The JDL of a job, as it is now or as it was submitted."""
    return str(value(monitoring().getJobJDL(asked.job, asked.original), f"JDL of job {asked.job}"))


def match(asked: argparse.Namespace) -> dict[str, Any]:
    """One requestJob by DIRAC's client at the published Matcher; {} when there is no match (Errno 1510)."""
    returned = dirac("Core.Base.Client:Client")(url="WorkloadManagement/Matcher").requestJob(json.loads(asked.resource))
    if returned.get("Errno") == dirac("Core.Utilities.DErrno:EWMSNOMATCH"):
        return {}
    return dict(value(returned, "requestJob"))


def add_pilot(asked: argparse.Namespace) -> dict[str, Any]:
    """Register a pilot reference, as a SiteDirector would (admin proxy)."""
    stamps = {asked.reference: asked.stamp or asked.reference}
    # DIRAC 8 asks for the group where later ones ask for the VO
    whose = f"{asked.vo}_pilot" if resolve_name("DIRAC:version").startswith("8.") else asked.vo
    done = pilots().addPilotReferences([asked.reference], whose, "DIRAC", stamps)
    value(done, f"pilot {asked.reference}")
    return pilot(asked)


def pilot(asked: argparse.Namespace) -> dict[str, Any]:
    """What DIRAC knows about a pilot, its jobs under "Jobs" when it has run some (admin proxy)."""
    found = value(pilots().getPilotInfo(asked.reference), f"pilot {asked.reference}")
    return dict(found[asked.reference])


def known_pilots(asked: argparse.Namespace) -> dict[str, Any]:
    """What DIRAC knows about several pilots, by their references; one that it does not know is absent (admin proxy)."""
    returned = pilots().getPilotInfo(asked.references)
    if returned.get("Errno") == dirac("Core.Utilities.DErrno:EWMSNOPILOT"):
        return {}
    return dict(value(returned, "pilots"))


def upload_proxy(asked: argparse.Namespace) -> str:
    """Delegate a certificate's proxy to the ProxyManager, as `dirac-proxy-init` does for a user."""
    chain = dirac("Core.Security.X509Chain:X509Chain")()
    value(chain.loadChainFromFile(f"{asked.certificate}cert.pem"), "certificate")
    value(chain.loadKeyFromFile(f"{asked.certificate}key.pem"), "key")
    value(dirac("FrameworkSystem.Client.ProxyManagerClient:gProxyManager").uploadProxy(proxy=chain), "upload")
    return str(asked.certificate)


def set_option(asked: argparse.Namespace) -> dict[str, str]:
    """Change options of the Configuration and commit, which makes a new version of it (admin proxy)."""
    api = dirac("ConfigurationSystem.Client.CSAPI:CSAPI")()
    value(api.initialize(), "read the Configuration")
    changes = dict(change.split("=", 1) for change in asked.changes)
    for path, text in changes.items():
        value(api.setOption(path, text), path)
    value(api.commit(), "commit")
    return changes


def operations(asked: argparse.Namespace) -> dict[str, str]:
    """Read an option of Operations out of CFG files by DIRAC's own helper; what it says, by the file's name."""
    helper, data = (
        dirac("ConfigurationSystem.Client.Helpers.Operations:Operations"),
        dirac("ConfigurationSystem.Client.ConfigurationData:gConfigurationData"),
    )
    said = {}
    for path in asked.files:
        data.mergedCFG = resolve_name("diraccfg:CFG")().loadFromFile(path)
        helper._Operations__cache = {}  # it knows files by the version of the servers' configuration
        said[Path(path).name] = helper(vo=asked.vo, setup=asked.setup).getValue(asked.option, "")
    return said


def parser() -> argparse.ArgumentParser:
    """One sub-command for each function."""
    whole = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = whole.add_subparsers(dest="name", required=True)

    def command(name: str, run: Any, *positional: tuple[str, Any, Any]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__.splitlines()[0])
        added.set_defaults(run=run)
        for argument, kind, count in positional:
            added.add_argument(argument, type=kind, nargs=count)
        return added

    submitting = command("submit", submit)
    one_of = submitting.add_mutually_exclusive_group(required=True)
    one_of.add_argument("--jdl", help="JDL text, with or without the outer brackets")
    one_of.add_argument("--file", help="file that holds it")
    submitting.add_argument("--count", type=int, default=1)
    command("submit-each", submit_each, ("jdls", str, "+"))
    by_api = command("submit-api", submit_api)
    by_api.add_argument("--file", required=True, help="Python file with functions of one argument, the job")
    by_api.add_argument("--tag", required=True, help="that all of them get")
    command("status", status, ("jobs", int, "+")).add_argument("--full", action="store_true")
    waiting = command("wait", wait, ("jobs", int, "+"))
    waiting.add_argument("--status", nargs="+", default=FINAL)
    waiting.add_argument("--timeout", type=float, default=60, help="seconds")
    command("output", output, ("job", int, None)).add_argument("--into", required=True)
    command("outputs", outputs, ("jobs", int, "+")).add_argument("--into", required=True)
    for action in ("kill", "reschedule", "delete"):
        command(action, act, ("jobs", int, "+"))
    command("jdl", jdl, ("job", int, None)).add_argument("--original", action="store_true")
    command("match", match, ("resource", str, None))
    adding = command("add-pilot", add_pilot, ("reference", str, None))
    adding.add_argument("--stamp")
    adding.add_argument("--vo", default="labvo")
    command("pilot", pilot, ("reference", str, None))
    command("pilots", known_pilots, ("references", str, "+"))
    command("upload-proxy", upload_proxy, ("certificate", str, None))
    reading = command("operations", operations, ("option", str, None), ("files", str, "+"))
    reading.add_argument("--vo", required=True)
    reading.add_argument("--setup", default="")
    command("set-option", set_option, ("changes", str, "+"))
    return whole


def main() -> int:
    """Read the arguments before DIRAC does, for it reads sys.argv too."""
    asked = parser().parse_args()
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # DIRAC logs on standard output
    sys.argv = sys.argv[:1]
    resolve_name("DIRAC:initialize")()
    with answer_to:
        json.dump(asked.run(asked), answer_to, default=str)
        answer_to.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
