"""What runs for a job: the script of the payload and exactly the environment it sees."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence

from agents.jobs.jdl import WORKFLOW_RUNNER, JobDescription
from agents.jobs.job import Grant, Runner
from agents.jobs.jobexec import NO_CLIENT, PLACE, STATUS, STATUS_FILE
from ce_backends.task.script import OUTLIVES_PAYLOAD

# What a payload may inherit from the pilot's node: where programs, CAs and the time zone are. Never a credential.
_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TERM",
    "X509_CERT_DIR",
    "X509_VOMS_DIR",
    "X509_VOMSES",
    "VO_NAME",
    "DIRACX_URL",
    "DIRACX_CA_PATH",
    "CVMFS_REPOSITORIES",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
)
# names of more variables, which the VO sent with the pilot (--userEnvVariables) or set in commands of its own
_BROUGHT = "GRIDPILOT_PAYLOAD_VARIABLES"
# Libraries that start one thread per processor of the node unless they are told otherwise.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "GOMAXPROCS",
    "JULIA_NUM_THREADS",
    "TF_NUM_THREADS",
    "ROOT_MAX_THREADS",
    "PYTHON_CPU_COUNT",
)
POOL_CATALOGUE = "pool_xml_catalog.xml"  # where frameworks of ROOT say which GUID a file has
REQUESTS = "*_request.json"  # what a payload wants to be done later, for DIRAC's ReqManager
NOT_FOUND = 127  # what a shell returns for a command it cannot find (POSIX 2.8.2)
RESCHEDULE_CODES = (1502, 222)  # DIRAC's EWMSRESC, and what is left of it in eight bits

# This shell cannot be replaced by the payload: arguments are words of a shell, another command may follow. So it has to
# outlive it; otherwise it would die of a signal that the payload hears, and the task be over.
# The PATH is searched by hand: `command -v` answers for the shell's own echo, true, printf ... with a name, not a file.
_SCRIPT = """\
[ -z "${{GRIDPILOT_CREDENTIAL-}}" ] || export X509_USER_PROXY="$GRIDPILOT_CREDENTIAL"
[ -n "${{DIRACSYSCONFIG-}}" ] || [ ! -f pilot.cfg ] || export DIRACSYSCONFIG="$PWD/pilot.cfg"
{redirections}
{prelude}gridpilot_exe={executable}
case $gridpilot_exe in
  */*) ;;
  *) gridpilot_exe=$(
    set -f
    IFS=:
    for directory in $PATH; do
      file=${{directory:-.}}/$gridpilot_exe
      [ -f "$file" ] && [ -x "$file" ] && printf '%s\\n' "$file" && exit
    done
    printf './%s\\n' "$gridpilot_exe"
  ) ;;
esac
if [ ! -f "$gridpilot_exe" ]; then
  printf 'Application not found: %s\\n' {executable} | tee -- "$GRIDPILOT_REASON_FILE" >&2
  exit {not_found}
fi
[ -x "$gridpilot_exe" ] || chmod 775 -- "$gridpilot_exe"
{outlives}
"$gridpilot_exe" {arguments}
"""
# The runner that goes with the task comes last on the PATH: where the payload finds a DIRAC client, that one is meant.
_OWN_RUNNER = """\
export PATH="$PATH:$PWD/{place}" {status_file}="$PWD/{status}"
[ -x {place}/{runner} ] || chmod 755 {place}/{runner}
"""
# What makes a shell find the client is read by the payload's shell alone; it may be made for bash.
_CLIENT = """\
gridpilot_client=
for gridpilot_file in {files}; do
  [ -f "$gridpilot_file" ] && [ -r "$gridpilot_file" ] && gridpilot_client=$gridpilot_file && break
done
if [ -z "$gridpilot_client" ]; then
  printf '%s\\n' {none} | tee -- "$GRIDPILOT_REASON_FILE" >&2
  exit {not_found}
fi
set -- {arguments}
exec "$(command -v bash || echo /bin/sh)" -c {sourced} "$gridpilot_client" "$@"
"""
_SOURCED = """\
. "$0"
command -v {runner} > /dev/null && exec {runner} "$@"
printf '%s\\n' "{none}: $0 brings no {runner}" | tee -- "$GRIDPILOT_REASON_FILE" >&2
exit {not_found}
"""


def script(description: JobDescription, runner: Runner = Runner.ITSELF, clients: Sequence[str] = ()) -> str:
    """Return the POSIX sh text that runs a job's executable in its work directory.

    A name without a slash is looked up on the PATH, then in the work directory, as DIRAC does. The arguments are
    words of a shell, as in DIRAC. A missing executable ends with 127 and says so.

    Args:
        description: of the job; its executable must be set.
        runner: what runs it.
        clients: files that make a shell find a DIRAC client; the first that is there is used.
    """
    executable = description.executable or ""
    return _SCRIPT.format(
        redirections=_redirections(description.std_output, description.std_error),
        prelude=_prelude(runner, clients, description.arguments),
        executable=_expandable(WORKFLOW_RUNNER if description.is_workflow else executable),
        arguments=description.arguments,
        not_found=NOT_FOUND,
        outlives=OUTLIVES_PAYLOAD,
    )


def _prelude(runner: Runner, clients: Sequence[str], arguments: str) -> str:
    """Return what lets the payload find the program that runs its workflow; with a client, runs it."""
    if runner is Runner.OWN:
        return _OWN_RUNNER.format(place=PLACE, status=STATUS, status_file=STATUS_FILE, runner=WORKFLOW_RUNNER)
    if runner is Runner.ITSELF:
        return ""
    none = f"{NO_CLIENT} on this node (looked for {', '.join(clients)})"
    return _CLIENT.format(
        files=" ".join(map(shlex.quote, clients)),
        none=shlex.quote(none),
        arguments=arguments,
        sourced=shlex.quote(_SOURCED.format(runner=WORKFLOW_RUNNER, none=NO_CLIENT, not_found=NOT_FOUND)),
        not_found=NOT_FOUND,
    )


def _redirections(std_output: str | None, std_error: str | None) -> str:
    """Send the payload's output where the JDL says; both to one file when it names the same twice."""
    lines = []
    for name in dict.fromkeys(name for name in (std_output, std_error) if name):
        directory = os.path.dirname(name)  # noqa: PTH120 - a name inside the job's directory, not a path here
        if directory:
            lines.append(f"mkdir -p -- {shlex.quote(directory)}")
    if std_output:
        lines.append(f"exec >{shlex.quote(std_output)}")
    if std_error:
        lines.append("exec 2>&1" if std_error == std_output else f"exec 2>{shlex.quote(std_error)}")
    return "\n".join(lines)


def _expandable(executable: str) -> str:
    """Quote for the shell, variables left to it: DIRAC expands $VARIABLES in Executable, and nothing else."""
    escaped = executable.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$(", "\\$(")
    return f'"{escaped}"'


def environment(description: JobDescription, grant: Grant, *, site: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return exactly what the payload sees.

    The job's own ExecutionEnvironment may set anything but what tells it its grant.

    Args:
        description: of the job.
        grant: what it holds; every variable that counts processors comes from it.
        site: DIRAC's name of the site.
        base: the agent's environment, of which only a short list passes.
    """
    processors = str(grant.processors)
    brought = base.get(_BROUGHT, "").split(",")
    variables = {name: base[name] for name in (*_INHERITED, *brought) if name in base}
    variables |= dict.fromkeys(_THREADS, processors)
    variables |= dict(description.execution_environment)
    variables |= {
        "DIRAC_JOB_PROCESSORS": processors,
        "DIRAC_PROCESSORS": processors,
        "DIRAC_WHOLENODE": str(grant.whole_node),
        "JOBID": str(description.job_id),
        "DIRACJOBID": str(description.job_id),
        "DIRACSITE": site,
    }
    return variables


def outputs(description: JobDescription) -> Sequence[str]:
    """Return what has to come back from the node: output sandbox and data, requests, its own output for a last look."""
    own = (name for name in (description.std_output, description.std_error) if name)
    data = (*map(local_name, description.output_data), POOL_CATALOGUE) if description.output_data else ()
    wanted = (*description.output_sandbox, *own, *data, REQUESTS)
    return tuple(dict.fromkeys(plain_pattern(pattern) for pattern in wanted))


def local_name(name: str) -> str:
    """Return the file, or pattern, in the job's directory that OutputData means: of an LFN its last part."""
    return name.rpartition("/")[2] if name[:4].upper() == "LFN:" else name


def plain_pattern(pattern: str) -> str:
    """Return a pattern without `**`, which says the same as `*` to DIRAC's glob and is an error to pathlib's."""
    return re.sub(r"\*{2,}", "*", pattern)
