"""What the agent understands of a JDL: DIRAC's attributes with DIRAC's meanings."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.jobs.jdl import JdlError, JobDescription, Request, describe

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


def described(attributes: str) -> JobDescription:
    return describe(f"[ JobID = 7; {attributes} ]")


def requested(attributes: str) -> Request:
    return described(attributes).request


def refusal(attributes: str) -> str:
    with pytest.raises(JdlError) as caught:
        described(attributes)
    return str(caught.value)


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


def test_a_jdl_without_job_id_is_refused() -> None:
    with pytest.raises(JdlError, match="the JDL has no JobID, expected the number the WMS gave to the job"):
        describe('Executable = "/bin/true";')


def test_a_malformed_jdl_is_refused_with_its_place() -> None:
    with pytest.raises(JdlError, match="JDL line 1, column 27: found the end of the text"):
        describe("JobID = 1; Executable = [ ")


@pytest.mark.parametrize(
    ("attributes", "processors"),
    [
        ("", (1, 1)),
        ("NumberOfProcessors = 4;", (4, 4)),
        ('NumberOfProcessors = "4";', (4, 4)),
        ("NumberOfProcessors = 4.0;", (4, 4)),
        ('NumberOfProcessors = " 4.0 ";', (4, 4)),
        ("numberofprocessors = 4;", (4, 4)),
        ("MinNumberOfProcessors = 2; MaxNumberOfProcessors = 8;", (2, 8)),
        ("MinNumberOfProcessors = 2;", (2, 2)),
        ("MaxNumberOfProcessors = 8;", (1, 8)),
        ("MinNumberOfProcessors = 2; MaxNumberOfProcessors = 0;", (2, 2)),
        ("MinNumberOfProcessors = undefined; MaxNumberOfProcessors = 3;", (1, 3)),
        ('MinNumberOfProcessors = ""; MaxNumberOfProcessors = 3;', (1, 3)),
        ("NumberOfProcessors = 4; MinNumberOfProcessors = 2; MaxNumberOfProcessors = 8;", (4, 4)),
    ],
)
def test_processors_mean_what_they_mean_in_dirac(attributes: str, processors: tuple[int, int]) -> None:
    request = requested(attributes)

    assert (request.min_processors, request.max_processors) == processors


@pytest.mark.parametrize("value", ["1", '"1"', '"yes"', '"Yes"', '"TRUE"', "true", '"y"', '" Y "'])
def test_a_whole_node_is_asked_for_by_a_true_word(value: str) -> None:
    assert requested(f"WholeNode = {value};").whole_node is True


@pytest.mark.parametrize("value", ["0", '"0"', '"no"', '"No"', "false", '"false"', '""', "undefined", '"n"', "2"])
def test_a_whole_node_is_not_asked_for_by_any_other_word(value: str) -> None:
    assert requested(f"WholeNode = {value};").whole_node is False


@pytest.mark.parametrize(
    ("attributes", "memory_mb"),
    [
        ("", (0, 0)),
        ("MinRAM = 1000; MaxRAM = 4000;", (1000, 4000)),
        ("MinRAM = 1000;", (1000, 1000)),
        ('MaxRAM = "4000";', (0, 4000)),
    ],
)
def test_memory_has_a_least_and_a_most(attributes: str, memory_mb: tuple[int, int]) -> None:
    request = requested(attributes)

    assert (request.min_memory_mb, request.memory_mb) == memory_mb


def test_gpus_are_counted() -> None:
    assert requested("NumberOfGPUs = 2;").gpus == 2


@pytest.mark.parametrize(
    "attributes",
    [
        'Tags = {"a", "b"};',
        'Tags = "a, b";',
        'Tags = "a,b,";',
        'Tag = {"a, b"};',
        'Tags = "a"; Tag = "b";',
        'Tags = {"a", "b"}; Tag = "a";',
    ],
)
def test_tags_come_as_list_or_with_commas_under_both_names(attributes: str) -> None:
    assert requested(attributes).tags == {"a", "b"}


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


@pytest.mark.parametrize("attribute", ["StdOutput", "StdError", "OutputSandbox"])
@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "..", ".", "//x"])
def test_a_name_that_leads_out_of_the_job_directory_is_refused(attribute: str, path: str) -> None:
    sentence = refusal(f'{attribute} = "{path}";')

    assert sentence == f"JDL attribute {attribute} is {path!r}, expected the name of a file below the job's directory"


def test_a_storage_prefix_is_no_way_out_for_an_output() -> None:
    assert "expected the name of a file" in refusal('OutputSandbox = {"std.out", "LFN:/../../x"};')


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        (
            "MinNumberOfProcessors = 4; MaxNumberOfProcessors = 2;",
            "JDL attribute MaxNumberOfProcessors is 2, expected no less than MinNumberOfProcessors, which is 4",
        ),
        ("MinRAM = 4; MaxRAM = 2;", "JDL attribute MaxRAM is 2, expected no less than MinRAM, which is 4"),
        ("NumberOfProcessors = 0;", "JDL attribute NumberOfProcessors is '0', expected a whole number of at least 1"),
        ("NumberOfProcessors = -1;", "JDL attribute NumberOfProcessors is '-1', expected a whole number of at least 1"),
        ("NumberOfGPUs = 1.5;", "JDL attribute NumberOfGPUs is '1.5', expected a whole number of at least 0"),
        ('MaxRAM = "2GB";', "JDL attribute MaxRAM is '2GB', expected a whole number of at least 0"),
        ('CPUTime = "²";', "JDL attribute CPUTime is '²', expected a whole number of at least 0"),
        ("CPUTime = 1e300;", "JDL attribute CPUTime is '1e300', expected a whole number of at least 0"),
        ("CPUTime = nan;", "JDL attribute CPUTime is 'nan', expected a whole number of at least 0"),
        ("CPUTime = true;", "JDL attribute CPUTime is 'true', expected a whole number of at least 0"),
        ("CPUTime = {1};", "JDL attribute CPUTime is a list, expected a whole number of at least 0"),
        ('JobID = "x";', "JDL attribute JobID is 'x', expected a whole number of at least 1"),
        ("Executable = [ a = 1 ];", "JDL attribute Executable is a record, expected text"),
        ('Executable = "a" "b";', "JDL line 1, column 31: found '\"', expected ';' or ']'"),
        ('InputSandbox = {"a", "b" "c"};', "JDL line 1, column 39: found '\"', expected ',' or '}'"),
        (
            'ExecutionEnvironment = "A=%ff";',
            "JDL attribute ExecutionEnvironment is 'A=%ff', expected a value whose %XX escapes form UTF-8",
        ),
        (
            'ExecutionEnvironment = "A=%00";',
            "JDL attribute ExecutionEnvironment is 'A=%00', expected a value without %00",
        ),
    ],
)
def test_a_value_without_sense_is_refused_in_one_sentence(attributes: str, sentence: str) -> None:
    assert refusal(attributes) == sentence


@pytest.mark.parametrize(
    "attribute",
    [
        "JobName = [ a = 1 ];",
        "JobName = error + 1;",
        'JobGroup = "never closed;',
        "my-attribute = x;",
        "Step.1 = 3 GB;",
        "Ganga Id = {1, {2}};",
        "Parameter.seed = 12; Parameter.JobName = p_two;",
        'Requirements = other.Site == "ANY" && member("x; y", other.Tags);',
        "InputDataPolicy = DIRAC.WorkloadManagementSystem.Client.DownloadInputData;",
        "OutputSE = { LAB-disk, FAR-disk };",
        "OutputPath = analysis/v1;",
        "Priority = high;",
        "LogLevel = { a, b };",
        "JobRequirements = [ CPUTime = 600; Sites = { one } two; ];",
        "Foo =;",
        "Foo bar;",
        "Szám = 3;",
    ],
)
def test_what_the_agent_does_not_act_on_fails_no_job(attribute: str) -> None:
    job = describe(f"[\n{attribute}\nJobID = 7;\nExecutable = x;\n]")

    assert (job.job_id, job.executable) == (7, "x")


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


def test_a_bare_yes_asks_for_the_whole_node() -> None:
    assert requested("WholeNode = yes;").whole_node is True


def test_a_bare_word_where_a_number_belongs_is_refused() -> None:
    sentence = refusal("CPUTime = long;")

    assert sentence == "JDL attribute CPUTime is 'long', expected a whole number of at least 0"


@pytest.mark.parametrize("pair", ["A", "=1", "A B=1", "A.B=1", "1A=1", "$(x)=1"])
def test_an_environment_pair_without_a_proper_name_is_refused(pair: str) -> None:
    sentence = refusal(f'ExecutionEnvironment = "OK=1;{pair}";')

    expected = "expected NAME=value with a name of letters, digits and underscores"
    assert sentence == f"JDL attribute ExecutionEnvironment is {pair!r}, {expected}"


def test_a_long_value_is_shown_in_part() -> None:
    assert len(refusal(f'CPUTime = "{"x" * 5000}";')) < 200


ATTRIBUTES = (
    "JobID JobName Executable Arguments StdOutput InputSandbox OutputSandbox ExecutionEnvironment CPUTime "
    "NumberOfProcessors MinNumberOfProcessors MaxNumberOfProcessors WholeNode MinRAM MaxRAM NumberOfGPUs Tags Tag"
)
ODD_VALUES = st.sampled_from(
    ["1", "-1", "0", "2.5", "1e300", '"2"', '"-"', '"a=b%zz;c"', '"%00"', "{}", '{"a", {1}}', "[a=1]", "x", "true"]
) | st.text(max_size=12).map(lambda text: f'"{text}"')


@given(st.lists(st.tuples(st.sampled_from(ATTRIBUTES.split()), ODD_VALUES), max_size=5))
@settings(max_examples=300, deadline=None, database=None)
def test_odd_values_give_a_sane_request_or_a_jdl_error(pairs: list[tuple[str, str]]) -> None:
    text = "JobID = 7; " + "; ".join(f"{name} = {value}" for name, value in pairs)

    try:
        request = describe(text).request
    except JdlError:
        return

    assert 1 <= request.min_processors <= request.max_processors
    assert 0 <= request.min_memory_mb <= request.memory_mb


@given(st.text(max_size=80))
@settings(max_examples=300, deadline=None, database=None)
def test_garbage_is_refused_as_a_jdl_error(text: str) -> None:
    with pytest.raises(JdlError):
        describe(text)
