"""Jobs made and submitted by DIRAC's own Job API, as users do: `job_api_jobs.py RUN [NAME...]`, run by DIRAC's Python.

RUN makes the logical names of one run its own. One function here is one job, or several with a parameter sequence;
prints the numbers of each as JSON. What every job ends in is in job_api_ends.py.
"""

import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

FILES = {
    "job.sh": "#!/bin/sh\necho hello from job.sh $*\nfor file in *.root; do [ ! -f $file ] || cksum $file; done\n",
    "both.sh": "#!/bin/sh\ncksum a.root; cd InputData_1 && cksum a.root\n",
    "results.sh": "#!/bin/sh\n: >empty.root; echo one >hist1.root; echo two >hist2.root\n"
    "echo final >final.root; echo out >out.root\n",
    "tool.sh": "#!/bin/sh\nsh tools/tool.sh >result.txt; cat result.txt notes.txt; python3 analysis.py 7\n",
    "urls.sh": "#!/bin/sh\ncat pool_xml_catalog.xml; ls\n",
    "join.sh": "#!/bin/sh\ncat a.root b.root >both.root && guid=$(cat /proc/sys/kernel/random/uuid)\n"
    'echo "joined $guid"; pfn="<pfn filetype=\\"ROOT_All\\" name=\\"both.root\\"/>"\n'
    'echo "<POOLFILECATALOG><File ID=\\"$guid\\"><physical>$pfn</physical></File></POOLFILECATALOG>" '
    ">pool_xml_catalog.xml\n",
    "analysis.py": "import sys\nprint('analysis', sys.argv[1:])\n",
    "notes.txt": "a note\n",
    "myvo.cfg": "LocalSite\n{\n  Word = said\n}\n",
    "three.sh": "#!/bin/sh\necho three; exit 3\n",
    "five.sh": "#!/bin/sh\necho five; exit 5\n",
    "six.sh": "#!/bin/sh\necho six\n",
    "killed.sh": "#!/bin/sh\nkill -9 $$\n",
    "long.sh": "#!/bin/sh\nhead -c 60000000 /dev/zero | tr '\\0' x | fold -w 99\n",
}
Job = Any


def plain(j: Job, at: "Place") -> None:
    j.setExecutable("/bin/echo")


def arguments_and_log(j: Job, at: "Place") -> None:
    j.setExecutable("/bin/echo", arguments="hello world -x 'two words'", logFile="hello.log")


def local_script(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh", arguments="42")


def several_steps(j: Job, at: "Place") -> None:
    j.setExecutable("/bin/echo", arguments="first")
    j.setExecutable("job.sh", arguments="second")
    j.setExecutable("analysis.py", arguments="third", logFile="third.log")


def input_sandbox(j: Job, at: "Place") -> None:
    j.setExecutable("tool.sh")
    j.setInputSandbox(["analysis.py", "notes.txt", f"LFN:{at.home}/lib.tar.gz"])
    j.setOutputSandbox(["result.txt", "*.log"])


def input_data(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setInputData([f"{at.data}/a.root", f"LFN:{at.data}/b.root"])


def input_data_one(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setInputData(f"{at.data}/a.root")


def output_data(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    files = ["hist*.root", f"LFN:{at.home}/results/final.root"]
    j.setOutputData(files, outputSE=["LAB-disk", "FAR-disk"], outputPath=f"/{at.run}/analysis")


def output_data_simple(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData(["out.root"])


def parametric_arguments(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh", arguments="--seed %(seed)s --name=%(name)s")
    j.setParameterSequence("seed", [1, 2, 3])
    j.setParameterSequence("name", ["a", "b", "c"])


def parametric_workflow(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setParameterSequence("arguments", ["one", "two"], addToWorkflow=True)
    j.setParameterSequence("JobName", ["job_one", "job_two"])


def parametric_input_data(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh", arguments="%n")
    inputs = [[f"{at.data}/a.root"], [f"{at.data}/b.root", f"{at.data}/c.root"]]
    j.setParameterSequence("InputData", inputs, addToWorkflow="ParametricInputData")


def environment(j: Job, at: "Place") -> None:
    j.setExecutable("/usr/bin/env")
    j.setExecutionEnv({"MYVAR": 3, "WITH": "spaces; and = signs", "PATHLIKE": "/a:/b"})


def environment_of_old_names(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j._addJDLParameter("StopSigRegex", "job.sh")
    j._addJDLParameter("OutputDataFilesMax", 3)


def processors(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setNumberOfProcessors(minNumberOfProcessors=2, maxNumberOfProcessors=8)
    j.setRAMRequirements(ramRequired=200, maxRAM=400)
    j.setTag(["GPU", "WholeNode"])


def processors_exact(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setNumberOfProcessors(numberOfProcessors=2)
    j.setTag("GPU")


def where(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setPlatform("Linux_x86_64_glibc-2.17")
    j.setDestination(["LAB.Local.ch"])
    j.setBannedSites(["LAB.Far.ch"])
    j.setCPUTime(5000)


def policy_download(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setInputData([f"{at.data}/a.root"])
    j.setInputDataPolicy("download", dataScheduling=False)


def policy_protocol(j: Job, at: "Place") -> None:
    j.setExecutable("urls.sh")
    j.setInputData([f"{at.data}/a.root"])
    j.setInputDataPolicy("Protocol")


def named(j: Job, at: "Place") -> None:
    j.setName('analysis <1> & "2"')
    j.setJobGroup("group 7")
    j.setType("User")
    j.setLogLevel("DEBUG")
    j.setPriority(5)
    j.setConfigArgs("myvo.cfg")
    j.setInputSandbox(["myvo.cfg"])
    j.setExecutable("job.sh", arguments="<a> & \"b\" 'c' $HOME \\n")


JOB_API = tuple(name for name, value in list(globals().items()) if inspect.isfunction(value))  # the twenty


def failing_steps(j: Job, at: "Place") -> None:
    for name in ("three.sh", "five.sh", "six.sh"):
        j.setExecutable(name)


def killed_step(j: Job, at: "Place") -> None:
    j.setExecutable("killed.sh")


def missing_program(j: Job, at: "Place") -> None:
    j.setExecutable("/no/such/program")


def long_output(j: Job, at: "Place") -> None:
    j.setExecutable("long.sh")
    j.setOutputSandbox(["result.txt"])


def input_missing(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setInputData([f"{at.data}/a.root", f"{at.data}/nosuch.root"])


def input_same_name(j: Job, at: "Place") -> None:
    j.setExecutable("both.sh")
    j.setInputData([f"{at.data}/a.root", f"{at.data}/other/a.root"])


def input_damaged(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setInputData([f"{at.data}/damaged.root"])


def input_one_replica_damaged(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setInputData([f"{at.data}/one_bad.root"])


def sandbox_missing(j: Job, at: "Place") -> None:
    j.setExecutable("job.sh")
    j.setInputSandbox([f"LFN:{at.data}/nosuch.tar.gz"])


def output_path_https(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData(["out.root"], outputSE=["XRD-https"], outputPath=f"/{at.run}/https")


def output_webdav(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData(["out.root"], outputSE=["DAV-disk"], outputPath=f"/{at.run}/webdav")


def output_root(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData(["out.root"], outputSE=["XRD-root"], outputPath=f"/{at.run}/root")


def output_missing(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData(["out.root", "nosuch.root"], outputPath=f"/{at.run}/missing")


def output_empty(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData(["empty.root"], outputPath=f"/{at.run}/empty")


def output_exists(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData([f"LFN:{at.home}/taken/out.root"])


def output_same_content(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData([f"LFN:{at.home}/same/out.root"], outputSE=["LAB-disk"])


def output_lfn_pattern(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData([f"LFN:{at.home}/pattern/hist*.root"])


def output_failover(j: Job, at: "Place") -> None:
    j.setExecutable("results.sh")
    j.setOutputData(["out.root"], outputSE=["DOWN-disk"], outputPath=f"/{at.run}/failover")


def input_to_output(j: Job, at: "Place") -> None:
    j.setExecutable("join.sh")
    j.setInputData([f"{at.data}/a.root", f"{at.data}/b.root"])
    j.setOutputData(["both.root"], outputSE=["XRD-https"], outputPath=f"/{at.run}/joined")


class Place:
    """Where the files of one run are in the catalogue."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.data = f"/labvo/data/{run}"
        self.home = f"/labvo/user/l/labuser/{run}"


def cases() -> dict[str, Callable[[Job, Place], None]]:
    """Every job by its name."""
    functions = {name: value for name, value in globals().items() if inspect.isfunction(value)}
    return {name: value for name, value in functions.items() if list(inspect.signature(value).parameters)[:1] == ["j"]}


def submit(name: str, at: Place, owner: Any) -> list[int]:
    """One of the jobs, from a folder that holds the files it names."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for file, text in FILES.items():
            Path(file).write_text(text, encoding="utf-8")
            Path(file).chmod(0o755)
        job = resolve_name("DIRAC.Interfaces.API.Job:Job")()
        job.setName(name)
        job.setCPUTime(600)
        cases()[name](job, at)
        returned = owner.submitJob(job)
        os.chdir("/")
    if not returned["OK"]:
        raise SystemExit(f"{name}: {returned['Message']}")
    numbers = returned["Value"]
    return list(numbers) if isinstance(numbers, list) else [numbers]


def main() -> int:
    run, *names = sys.argv[1:]
    sys.argv = sys.argv[:1]
    answer_to = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # DIRAC logs on standard output
    resolve_name("DIRAC:initialize")()
    owner = resolve_name("DIRAC.Interfaces.API.Dirac:Dirac")()
    with answer_to:
        json.dump({name: submit(name, Place(run), owner) for name in names or cases()}, answer_to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
