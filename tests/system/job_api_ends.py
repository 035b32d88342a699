"""What every job of job_api_jobs.py must end in: one table.

In texts, `{data}` and `{home}` are the run's folders of the catalogue, `{run}` its name, `{job}` the job's number,
`{thousands}` that divided by a thousand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

LAB = ("LAB-disk",)
OUT, HIST1, HIST2, FINAL = b"out\n", b"one\n", b"two\n", b"final\n"
COMPLETE = "Execution Complete"
ERRORS = "Application Finished With Errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a job ends, as DIRAC's own client tells it.

    Attributes:
        status: also the minor, and what the application's begins with.
        says: what must stand in a file of the output sandbox.
        is_at: content and elements of every file that it must have left in the catalogue, by LFN.
        parameters: what must stand in a job parameter.
    """

    status: str = "Done"
    minor: str = COMPLETE
    application: str = "job.sh successful"
    says: Mapping[str, str] = field(default_factory=dict)
    is_at: Mapping[str, tuple[bytes, tuple[str, ...]]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


def saying(text: str, **more: object) -> End:
    """The end of a job of one step, job.sh, whose application log has a text."""
    return End(says={"Script1_job.sh.log": text}, **more)  # type: ignore[arg-type]


def leaving(application: str = "results.sh successful", **files: object) -> End:
    """The end of a job that leaves files."""
    return End(application=application, **files)  # type: ignore[arg-type]


JOBS: Mapping[str, tuple[End, ...]] = {
    "plain": (End(application="echo successful", says={"Script1_echo.log": "Standard Output"}),),
    "arguments_and_log": (End(application="echo successful", says={"hello.log": "hello world -x two words"}),),
    "local_script": (saying("hello from job.sh 42"),),
    "several_steps": (
        End(
            application="analysis.py successful",
            says={"Script2_job.sh.log": "hello from job.sh second", "third.log": "analysis ['third']"},
        ),
    ),
    "input_sandbox": (
        End(
            application="tool.sh successful",
            says={"result.txt": "I am the tool", "Script1_tool.sh.log": "a note\nanalysis ['7']"},
        ),
    ),
    "input_data": (saying("{cksum a}\n{cksum b}"),),
    "input_data_one": (saying("{cksum a}"),),
    "output_data": (
        leaving(
            is_at={
                "{home}/analysis/hist1.root": (HIST1, LAB),
                "{home}/analysis/hist2.root": (HIST2, LAB),
                "{home}/results/final.root": (FINAL, LAB),
            }
        ),
    ),
    "output_data_simple": (leaving(is_at={"/labvo/user/l/labuser/{thousands}/{job}/out.root": (OUT, LAB)}),),
    "parametric_arguments": tuple(
        saying(f"hello from job.sh --seed {seed} --name={name}") for seed, name in ((1, "a"), (2, "b"), (3, "c"))
    ),
    "parametric_workflow": (saying("hello from job.sh one"), saying("hello from job.sh two")),
    "parametric_input_data": (
        saying("hello from job.sh 0\n{cksum a}"),
        saying("hello from job.sh 1\n{cksum b}\n{cksum c}"),
    ),
    "environment": (End(application="env successful", says={"Script1_env.log": "WITH=spaces; and = signs\n"}),),
    "environment_of_old_names": (saying("hello from job.sh"),),
    "processors": (saying("hello from job.sh"),),
    "processors_exact": (saying("hello from job.sh"),),
    "where": (saying("hello from job.sh"),),
    "policy_download": (saying("{cksum a}"),),
    "policy_protocol": (
        End(application="urls.sh successful", says={"Script1_urls.sh.log": '<lfn name="{data}/a.root"/>'}),
    ),
    "named": (saying("hello from job.sh"),),
    "failing_steps": (End(status="Failed", minor=ERRORS, application="three.sh Exited With Status 3"),),
    "killed_step": (End(status="Failed", minor=ERRORS, application="killed.sh Exited With Status -9"),),
    "missing_program": (End(status="Failed", minor=ERRORS, application="program Exited With Status 1000"),),
    "long_output": (End(application="long.sh successful"),),
    # never comes to a node: DIRAC's optimizer has seen it
    "input_missing": (End(status="Failed", minor="InputData optimizer", application="Input data not available"),),
    "input_same_name": (
        End(
            application="both.sh successful",
            says={"Script1_both.sh.log": "{cksum a}\n{cksum other}"},
        ),
    ),
    "input_damaged": (
        End(
            status="Failed",
            minor="Input Data Resolution",
            application="{data}/damaged.root: LAB-disk: ",
        ),
    ),
    "input_one_replica_damaged": (saying("{cksum one_bad}"),),
    "sandbox_missing": (
        End(
            status="Failed",
            minor="Failed Downloading InputSandbox LFN(s)",
            application="{data}/nosuch.tar.gz (No such file",
        ),
    ),
    "output_path_https": (leaving(is_at={"{home}/https/out.root": (OUT, ("XRD-https",))}),),
    "output_webdav": (leaving(is_at={"{home}/webdav/out.root": (OUT, ("DAV-disk",))}),),
    "output_root": (leaving(is_at={"{home}/root/out.root": (OUT, ("XRD-root",))}),),
    "output_missing": (
        End(status="Failed", minor="Uploading Output Data", application="Output data missing: nosuch.root"),
    ),
    "output_empty": (leaving(is_at={"{home}/empty/empty.root": (b"", LAB)}),),
    "output_exists": (
        End(
            status="Failed",
            minor="Uploading Output Data",
            application="LFN exists with other content: {home}/taken/out.root",
        ),
    ),
    "output_same_content": (leaving(is_at={"{home}/same/out.root": (OUT, LAB)}),),
    "output_lfn_pattern": (
        leaving(is_at={"{home}/pattern/hist1.root": (HIST1, LAB), "{home}/pattern/hist2.root": (HIST2, LAB)}),
    ),
    "output_failover": (
        End(
            status="Completed",
            minor="Pending Requests",
            application="results.sh successful",
            is_at={"{home}/failover/out.root": (OUT, ("FAR-disk",))},
        ),
    ),
}
