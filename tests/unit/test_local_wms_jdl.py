import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.jobs.jdl import describe
from agents.local_wms.jdl import KNOWN, JdlError, near_misses, parse, show, texts, whole_number
from agents.local_wms.parametric import expand


def test_a_string_keeps_semicolons_braces_and_backslashes() -> None:
    job = parse(r'Arguments = "a; b {c} = \"d\" \\ // e\n";')

    assert job.get("arguments") == r'a; b {c} = "d" \\ // e\n'


def test_comments_and_outer_brackets_are_no_part_of_a_job() -> None:
    job = parse('# first\n[ // second\n\t# third\n Executable = "x"; /* fourth; */ CPUTime = 300 ]\n')

    assert list(job) == [("Executable", "x"), ("CPUTime", "300")]


def test_values_are_texts_lists_and_records() -> None:
    job = parse('a = 1; b = -2.5; c = TRUE; d = {"x", 2}; e = [f = 3]; h = x.Site == "x; y" && b isnt 3; i = a.b')

    assert [value for _, value in job if not isinstance(value, type(job))] == [
        "1",
        "-2.5",
        "TRUE",
        ["x", "2"],
        'x.Site == "x; y" && b isnt 3',
        "a.b",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('Executable = "x" Arguments = "y";', "JDL line 1, column 18: found 'Arguments', expected ';'"),
        ("Executable = x\nArguments = y;", "JDL line 2, column 11: found '=', expected ';' before the next attribute"),
        ('Executable "x";', "found '\"', expected '=' after the attribute name 'Executable'"),
        ('a = "x";\n\nb = "never closed;', "JDL line 3, column 5: found the end of the text"),
        ("a = ;", "JDL line 1, column 5: found ';', expected a value"),
        ('a = {"x" "y"};', "expected ',' or '}'"),
        ("a = {1, 2", "found the end of the text"),
        ("[a = 1] b = 2", "found 'b', expected the end of the text"),
        ("", "at least one attribute"),
        ("a = " + "{" * 120 + "}" * 120, "more than 100 deep"),
    ],
)
def test_text_that_is_no_jdl_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(JdlError, match=re.escape(sentence)):
        parse(text)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("InputData = LFN:/vo/user/b.dst", 'InputData = "LFN:/vo/user/b.dst"'),
        ("OutputSandbox = {*.log, out-1.root}", 'OutputSandbox =\n  {\n    "*.log",\n    "out-1.root"\n  }'),
        ("Tags = 4Processors", 'Tags = "4Processors"'),
        ("JobName = 2024_run", 'JobName = "2024_run"'),
        ("Arguments = one two --x=3", 'Arguments = "one two --x=3"'),
        ("Arguments = 007", 'Arguments = "007"'),
        ("WholeNode = True", 'WholeNode = "True"'),
        ('CPUTime = "600"', "CPUTime = 600"),
        ("Requirements = a > 3", 'Requirements = "a > 3"'),
        ("my-attribute = x", 'my-attribute = "x"'),
    ],
)
def test_bare_words_are_stored_in_quotes(written: str, stored: str) -> None:
    assert show(parse(written)) == f"[\n  {stored};\n]"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Excutable", "Executable"),
        ("inputsandbx", "InputSandbox"),
        ("StdOut", "StdOutput"),
        ("executable", "Executable"),
        ("CPUtime", "CPUTime"),
        ("NumberOfProcesors", "NumberOfProcessors"),
    ],
)
def test_a_near_miss_of_a_name_is_told_with_the_nearest(name: str, nearest: str) -> None:
    (said,) = near_misses(parse(f"{name} = x;"))

    assert said == f"JDL attribute {name} means nothing to DIRAC; did you mean {nearest}?"


def test_names_of_dirac_and_of_a_vo_are_no_near_misses() -> None:
    text = "; ".join(f"{name} = x" for name in (*KNOWN, "BannedSite", "Parameter.seed", "GangaId", "VO", "x"))

    assert near_misses(parse(text)) == []


def test_a_name_that_would_be_a_comment_on_a_line_of_its_own_is_refused() -> None:
    with pytest.raises(JdlError, match="attribute '#': expected a name"):
        parse(";#=1")
    assert show(parse("#=1\na=1")) == show(parse("a=1"))


@given(st.text(alphabet='ab="\\\\{}[];,/*#. 1-%(\n', max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        job = parse(text)
    except JdlError:
        return
    assert show(parse(show(job))) == show(job)


def test_a_printed_job_has_sorted_attributes_and_lists_of_one_as_plain_strings() -> None:
    job = parse('b = {"only"}; a = {"x", "y"}; c = [ d = "e" ];')

    listed = '  a =\n  {\n    "x",\n    "y"\n  };\n'
    assert show(job) == "[\n" + listed + '  b = "only";\n  c =\n  [\n    d = "e";\n  ];\n]'


def test_what_is_printed_reads_back_as_the_same() -> None:
    job = parse(r'a = "tab\t \"quote\" back\\slash"; b = x > 3 ; c = {1, true, 2.5}; d = ""')

    assert list(parse(show(job))) == list(job)


def test_a_list_written_as_one_text_is_split_at_commas() -> None:
    assert texts("a, b") == ["a", "b"]


@pytest.mark.parametrize("written", ["2", '"2"', "2.0"])
def test_a_whole_number_may_be_written_in_three_ways(written: str) -> None:
    assert whole_number(parse(f"n = {written}"), "n", 1) == 2


@pytest.mark.parametrize("written", ['"two"', "2.5", "true", "{1, 2}", "9" * 99])
def test_what_is_no_whole_number_is_refused_with_name_and_value(written: str) -> None:
    with pytest.raises(JdlError, match=r"JDL attribute n is .*: a whole number was expected"):
        whole_number(parse(f"n = {written}"), "n", 1)


def test_a_job_without_parameters_stays_one_job() -> None:
    assert expand(parse('Executable = "x"')) is None


def test_counted_parameters_start_and_step() -> None:
    made = expand(parse('Arguments = "%n of %s"; Parameters = 3; ParameterStart = 10; ParameterStep = 5'))

    assert made is not None
    assert [parse(text).get("Arguments") for text in made] == ["0 of 10", "1 of 15", "2 of 20"]


def test_named_lists_of_parameters_go_side_by_side() -> None:
    made = expand(parse('Arguments = "%(A)s-%(B)s"; Parameters.A = {"x", "y"}; Parameters.B = {"1", "2"}'))

    assert made is not None
    assert [parse(text).get("Arguments") for text in made] == ["x-1", "y-2"]
    assert "Parameters.A" not in parse(made[0])


def test_a_list_of_lists_of_files_takes_the_place_of_its_mark() -> None:
    """As the Job API writes it for setParameterSequence("InputData", [[a], [b, c]], addToWorkflow=...)."""
    made = expand(
        parse("InputData = %(InputData)s; Arguments = -p x=%(InputData)s; Parameters.InputData = {{/a}, {/b, /c}}")
    )

    assert made is not None
    jobs = [parse(text) for text in made]
    assert [job.get("InputData") for job in jobs] == ["/a", ["/b", "/c"]]
    assert [job.get("Arguments") for job in jobs] == ["-p x={/a}", "-p x={/b, /c}"]


def test_the_agent_reads_each_job_of_named_parameters() -> None:
    made = expand(parse('Executable = x; Arguments = "%(seed)s"; seed = %(seed)s; Parameters.seed = {11, 22}'))

    assert made is not None
    assert [describe(text.replace("[", "[ JobID = 7;", 1)).arguments for text in made] == ["11", "22"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Parameters = 0", "asks for 0 jobs"),
        ("Parameters = 100000", "asks for 100000 jobs"),
        ("Parameters.A = {1, 2}; Parameters.B = {1}", "different lengths"),
        ('Parameters = 2; ParameterStep = "x"', "ParameterStep is 'x': a number was expected"),
    ],
)
def test_impossible_parameters_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(JdlError, match=sentence):
        expand(parse(text))


@pytest.mark.parametrize(
    "sweep",
    [
        'Parameters = 1000; Arguments = "%s";' + f'X = "{"x" * 200_000}";',
        'Parameters = 1000; ParameterFactor = 999999999999; Arguments = "%s";',
        'Parameters = 1000; ParameterFactor = "1e300"; Arguments = "%s";',
        f'Parameters = 3; ParameterStart = "{"9" * 4000}"; Arguments = "%s";',
        f'Parameters = 3; ParameterStep = {"9" * 400}; ParameterFactor = 1.5; Arguments = "%s";',
        'Parameters = 1000000000; Arguments = "%s";',
    ],
)
def test_jobs_of_one_jdl_are_bounded_together(sweep: str) -> None:
    with pytest.raises(JdlError):
        expand(parse(f'Executable = "x"; {sweep}'))


def test_a_thousand_files_are_a_thousand_jobs() -> None:
    files = ", ".join(f'"/vo/data/file{number}"' for number in range(1000))

    jobs = expand(parse(f'Executable = "x"; Parameters = {{{files}}}; InputData = "%s";'))

    assert jobs is not None
    assert len(jobs) == 1000
    assert "/vo/data/file999" in jobs[999]
    assert "/vo/data/file998" not in jobs[999]
