"""JDLs without sense: refused in one sentence as a JDL error; what the agent does not act on fails no job."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.jobs.jdl import JdlError, describe
from tests.unit.jdl_scene import described


def refusal(attributes: str) -> str:
    with pytest.raises(JdlError) as caught:
        described(attributes)
    return str(caught.value)


def test_a_jdl_without_job_id_is_refused() -> None:
    with pytest.raises(JdlError, match="the JDL has no JobID, expected the number the WMS gave to the job"):
        describe('Executable = "/bin/true";')


def test_a_malformed_jdl_is_refused_with_its_place() -> None:
    with pytest.raises(JdlError, match="JDL line 1, column 27: found the end of the text"):
        describe("JobID = 1; Executable = [ ")


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
