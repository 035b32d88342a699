"""What the agent understands of a JDL: DIRAC's attributes with DIRAC's meanings."""

from dataclasses import FrozenInstanceError

import pytest

from agents.jobs.jdl import JobDescription, Request, describe
from tests.unit.jdl_scene import described

MATCHED = """[
  Arguments = "hello mp";
  CPUTime = 300;
  Executable = "/bin/echo";
  InputSandbox = "SB:LabSandboxSE|/SandBox/l/labuser.labvo_user/5e9/1bd/0.tar.bz2";
  JobID = 55;
  JobName = "probe2";
  JobRequirements = [ CPUTime = 300; VirtualOrganization = "labvo"; Tags = {"labtag"}; ];
  JobType = "User";
  LogLevel = "DEBUG";
  MaxNumberOfProcessors = 2;
  MinNumberOfProcessors = 1;
  OutputSandbox = { "std.out", "std.err" };
  Owner = "labuser";
  OwnerGroup = "labvo_user";
  Requirements = other.Site == "ANY";
  Site = "ANY";
  StdError = "std.err";
  StdOutput = "std.out";
  Tags = "labtag, MultiProcessor";
]"""
# Both as they are submitted to a real DIRAC 9.1.22; JobID is what its JobManager adds.
PROBE_1 = (
    'JobID = 54; Executable = "/bin/echo"; Arguments = "hello 1"; JobName = "probe1"; CPUTime = 300; '
    'NumberOfProcessors = 1; StdOutput = "std.out"; StdError = "std.err"; OutputSandbox = {"std.out", "std.err"};'
)
PROBE_2 = (
    'JobID = 55; Executable = "/bin/echo"; Arguments = "hello mp"; JobName = "probe2"; CPUTime = 300; '
    'MinNumberOfProcessors = 1; MaxNumberOfProcessors = 2; Tags = {"labtag"}; JobType = "User";'
)


def test_a_matched_job_is_described_in_full() -> None:
    job = describe(MATCHED)

    assert job == JobDescription(
        job_id=55,
        job_name="probe2",
        job_type="User",
        owner="labuser",
        owner_group="labvo_user",
        executable="/bin/echo",
        arguments="hello mp",
        std_output="std.out",
        std_error="std.err",
        input_sandbox=("SB:LabSandboxSE|/SandBox/l/labuser.labvo_user/5e9/1bd/0.tar.bz2",),
        output_sandbox=("std.out", "std.err"),
        execution_environment={},
        cpu_time_s=300,
        log_level="DEBUG",
        request=Request(min_processors=1, max_processors=2, tags=frozenset({"labtag", "MultiProcessor"})),
    )


def test_a_probe_job_of_one_processor_is_described() -> None:
    job = describe(PROBE_1)

    assert job == JobDescription(
        job_id=54,
        job_name="probe1",
        executable="/bin/echo",
        arguments="hello 1",
        std_output="std.out",
        std_error="std.err",
        output_sandbox=("std.out", "std.err"),
        execution_environment={},
        cpu_time_s=300,
        request=Request(),
    )


def test_a_probe_job_of_two_processors_is_described() -> None:
    job = describe(PROBE_2)

    assert job == JobDescription(
        job_id=55,
        job_name="probe2",
        job_type="User",
        executable="/bin/echo",
        arguments="hello mp",
        execution_environment={},
        cpu_time_s=300,
        request=Request(max_processors=2, tags=frozenset({"labtag"})),
    )


def test_a_jdl_of_nothing_but_a_job_id_asks_for_one_processor() -> None:
    job = describe("JobID = 7")

    assert job == JobDescription(job_id=7, job_type="Unknown", execution_environment={}, request=Request())


def test_a_description_does_not_change() -> None:
    job = described("")

    with pytest.raises(FrozenInstanceError):
        job.job_id = 8  # type: ignore[misc]  # the very thing that must fail


@pytest.mark.parametrize(
    ("attributes", "environment"),
    [
        ('"A=1"', {"A": "1"}),
        ('"A=1;B=two"', {"A": "1", "B": "two"}),
        ('"A=1; B=two ;;"', {"A": "1", "B": "two"}),
        ('{"A=1", "B=x;y"}', {"A": "1", "B": "x;y"}),
        ('"OPTS=-x=1 -y=2"', {"OPTS": "-x=1 -y=2"}),
        ('"OPTS=a%3Bb%20c%3Dd%25"', {"OPTS": "a;b c=d%"}),
        ('"NAME=%C3%A9"', {"NAME": "é"}),
        ('"EMPTY="', {"EMPTY": ""}),
        ('"A=1;A=2"', {"A": "2"}),
        ('""', {}),
        ("{}", {}),
    ],
)
def test_the_environment_is_split_at_the_first_equals_and_unquoted(
    attributes: str, environment: dict[str, str]
) -> None:
    job = described(f"ExecutionEnvironment = {attributes};")

    assert job.execution_environment == environment


@pytest.mark.parametrize(
    ("value", "arguments"),
    [('"-c \\"echo; done\\""', '-c "echo; done"'), ('{"a b", "c"}', "a b c"), ("5", "5"), ("true", "true"), ("{}", "")],
)
def test_arguments_are_one_string(value: str, arguments: str) -> None:
    assert described(f"Arguments = {value};").arguments == arguments


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('{"my file.txt", "a;b{c}.txt", "č.txt"}', ("my file.txt", "a;b{c}.txt", "č.txt")),
        ('"one file, not two.txt"', ("one file, not two.txt",)),
        ('{"SB:SE|/SandBox/x.tar", "LFN:/vo/x", "lfn:/vo/y"}', ("SB:SE|/SandBox/x.tar", "LFN:/vo/x", "lfn:/vo/y")),
        ('{"", "sub/x..y"}', ("sub/x..y",)),
        ('""', ()),
    ],
)
def test_sandbox_names_stay_whole(value: str, names: tuple[str, ...]) -> None:
    assert described(f"InputSandbox = {value};").input_sandbox == names


def test_input_and_output_data_are_carried() -> None:
    job = described('InputData = {"LFN:/vo/a", "LFN:/vo/b"}; OutputData = "*.root";')

    assert (job.input_data, job.output_data) == (("LFN:/vo/a", "LFN:/vo/b"), ("*.root",))


def test_an_empty_output_name_counts_as_none() -> None:
    job = described('StdOutput = ""; StdError = undefined; Executable = "";')

    assert (job.std_output, job.std_error, job.executable) == (None, None, None)


def test_the_submitters_own_paths_beside_a_sandbox_are_no_mistake() -> None:
    job = described('InputSandbox = {"/home/user/run.sh", "../x", "SB:SE|/SandBox/x.tar"};')

    assert job.input_sandbox == ("/home/user/run.sh", "../x", "SB:SE|/SandBox/x.tar")


def test_a_list_where_a_word_was_meant_is_its_words() -> None:
    """DIRAC makes a list of every text with commas in it, but of Executable, Arguments and the two log files."""
    job = described('JobName = { "one", "two" }; JobType = { "User" };')

    assert (job.job_name, job.job_type) == ("one, two", "User")


@pytest.mark.parametrize("arguments", ["007", "1.50", "1e3", "2024_1", "+3", "inf"])
def test_what_looks_like_a_number_is_passed_on_as_it_was_written(arguments: str) -> None:
    """DIRAC prints what Python's float() takes without quotes."""
    assert described(f"Arguments = {arguments};").arguments == arguments


def test_a_log_file_of_dev_null_is_none() -> None:
    job = described('StdOutput = "std.out"; StdError = "/dev/null";')

    assert (job.std_output, job.std_error) == ("std.out", None)


@pytest.mark.parametrize("word", ["User", "user_1", "MC.sim", "a-b", "_x"])
def test_a_bare_word_where_text_belongs_is_that_text(word: str) -> None:
    assert described(f"JobType = {word};").job_type == word


def test_bare_words_in_a_list_are_texts() -> None:
    assert described("OutputSandbox = { std.out, std.err };").output_sandbox == ("std.out", "std.err")
