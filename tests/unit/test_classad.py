"""The JDL reader: cases by hand, and plain texts that HTCondor's own parser reads as the same."""

import string
import time
from contextlib import suppress

import classad2  # type: ignore[import-untyped]  # the wheel has no type information
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.jobs.classad import MAX_BYTES, MAX_DEPTH, JdlError, Record, Value, parse

GAPS = st.sampled_from(["", " ", "\n", "\t", " // a; comment = {\n", '/* ] } " */', "\r\n"])
RESERVED = ("true", "false", "undefined", "error", "is", "isnt")


def names() -> st.SearchStrategy[str]:
    plain = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
    return plain.filter(lambda name: name.lower() not in RESERVED)


def values() -> st.SearchStrategy[Value]:
    """Return what both languages have: no backslash, which is an escape in theirs."""
    letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\"), max_size=12)
    scalars: st.SearchStrategy[Value] = letters | st.text(";{}[]=/*#,\"' ", max_size=8)
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple) | records(inner), max_leaves=8)


def records(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Record]:
    # one spelling of a name only: which of two wins is a case of its own
    pairs = st.lists(st.tuples(names(), inner), max_size=4, unique_by=lambda pair: pair[0].lower())
    return pairs.map(Record)


def written(value: Value, gap: str = " ") -> str:
    """Render a value with the same gap between all its parts."""
    if isinstance(value, Record):
        parts = [gap.join((name, "=", written(item, gap), ";")) for name, item in value.items()]
        return gap.join(("[", *parts, "]"))
    if isinstance(value, tuple):
        return "{" + gap + f"{gap},{gap}".join(written(item, gap) for item in value) + gap + "}"
    return '"' + value.replace('"', '\\"') + '"'


def comparable(value: object) -> object:
    """Bring our values and HTCondor's into one form."""
    if isinstance(value, (Record, classad2.ClassAd)):
        return {name.lower(): comparable(value[name]) for name in value}
    return [comparable(item) for item in value] if isinstance(value, (tuple, list)) else value


def only(text: str) -> Value:
    (value,) = parse(text).values()
    return value


def refusal(text: str) -> str:
    """Return our sentence against a text, about the whole or about an attribute."""
    try:
        return str(parse(text).problems[0])
    except JdlError as error:
        return str(error)


@given(records(values()), GAPS)
@settings(max_examples=80, deadline=None, database=None)
def test_a_rendered_record_is_read_back_as_it_was(record: Record, gap: str) -> None:
    text = written(record, gap)

    read = parse(text)

    assert (repr(record), []) == (repr(read), read.problems)


@given(records(values()), GAPS)
@settings(max_examples=80, deadline=None, database=None)
def test_htcondor_reads_the_same_values(record: Record, gap: str) -> None:
    text = written(record, gap)
    theirs = classad2.ClassAd(text)

    ours = parse(text)

    assert comparable(theirs) == comparable(ours)


@given(st.text(max_size=60) | st.text("ab=;{}[]()\"'\\/*#.,0123456789eE+-?: \n", max_size=60))
@settings(max_examples=400, deadline=None, database=None)
def test_garbage_raises_nothing_but_a_jdl_error(text: str) -> None:
    try:
        problems = parse(text).problems
    except JdlError as error:
        problems = [error]

    assert all("expected" in str(problem) for problem in problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'a = "say \"hi\""', 'say "hi"'),
        (r'a = "s/\./\t/ \\ \n"', r"s/\./\t/ \\ \n"),  # DIRAC has no escapes
        ('a = "C:\\";\n', "C:\\"),
        ('a = "one; two {three} = // four /* five"', "one; two {three} = // four /* five"),
        ('a = "# not\n# a comment"', "# not\n# a comment"),
        ('a = "žluťoučký 🐎"', "žluťoučký 🐎"),
        ('a = "one", "two";', ("one", "two")),
        ("a = 42", "42"),
        ("a = 007", "007"),
        ("a = 1.50", "1.50"),
        ("a = - 3", "- 3"),
        ("a = 9223372036854775808", "9223372036854775808"),
        ("a = TRUE", "TRUE"),
        ("a = LFN:/vo/user/b.dst", "LFN:/vo/user/b.dst"),
        ("a = root://door.org:1094//store/x;", "root://door.org:1094//store/x"),
        ("a = 300 // seconds", "300"),
        ('a = analysis <1> & "2"', 'analysis <1> & "2"'),
        ('a = 5" pipe', '5" pipe'),
        ("a = -p arguments='--seed 1'", "-p arguments='--seed 1'"),
        ('a = x.Site == "y; z" && b', 'x.Site == "y; z" && b'),
        ("a = x &&\n  y", "x && y"),
        ("a = b[1]", "b[1]"),
        ("a = {}", ()),
        ('a = {"one two", "x;y", "p,q"}', ("one two", "x;y", "p,q")),
        ('a = {"x",}', ("x",)),
        ('a = {"x", # first\n "y" # last\n}', ("x", "y")),
        ("a = {,x,,y}", ("x", "y")),
        ("a = {*.log, std.out, A=1}", ("*.log", "std.out", "A=1")),
        ("a = {{1}, {b, c}}", (("1",), ("b", "c"))),
        ('a = "undefined"', "undefined"),
    ],
)
def test_a_value_is_the_text_that_stands_there(text: str, expected: Value) -> None:
    assert only(text) == expected


@pytest.mark.parametrize("name", ["Parameter.seed", "my-attribute", "Step 1", "4th", "Größe", "a:b/c", "'odd name'"])
def test_whatever_stands_before_the_sign_is_a_name(name: str) -> None:
    assert list(parse(f"[ {name} = 1; ]")) == [name]


@pytest.mark.parametrize(
    "text",
    [
        "[a=1;b=2;]",
        "[a=1;b=2]",
        "a=1;b=2;",
        "a=1;b=2",
        "a=1;;b=2;",
        "# first\n a=1;\n  # second ; ] \nb=2",
        "[a=1;b=2]\n# end",
        "[\n\t# first\na=1; /* between; */ b /* odd */ = // place\n 2 ]",
        "a=1;b=2;c=undefined;",
    ],
)
def test_brackets_last_semicolon_and_comments_may_be_there_or_not(text: str) -> None:
    record = parse(text)

    assert dict(record) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("text", ["", "[]", " \n // nothing\n", "[;]"])
def test_a_text_without_attributes_is_an_empty_record(text: str) -> None:
    assert len(parse(text)) == 0


def test_names_match_in_any_case_and_keep_their_spelling() -> None:
    record = parse("[ StdOutput = 1; other = 2 ]")

    assert (list(record), record["STDoutput"]) == (["StdOutput", "other"], "1")


def test_the_last_of_two_attributes_of_one_name_wins() -> None:
    record = parse("a = 1; b = 2; A = 3")

    assert dict(record) == {"A": "3", "b": "2"}


def test_a_nested_record_is_a_record() -> None:
    record = only('a = [ b = { [ c = "x" ] } ]')

    assert repr(record) == "Record([('b', (Record([('c', 'x')]),))])"


@pytest.mark.parametrize(
    "spoiled",
    ['a = "b" "c"', "a = {1} 2", "a = {1, [", "a =", "a b", 'a = "b', "= 1", "} = 1", "a = [ b = 1 ] 2", "a = {\0}"],
)
def test_what_cannot_be_read_spoils_its_own_attribute_only(spoiled: str) -> None:
    record = parse(f"first = 1;\n{spoiled};\nlast = 2;")

    assert record["first"] == "1"
    assert record.problems
    assert record.get("last") == "2" or "[" in spoiled


def test_asking_for_what_could_not_be_read_says_why() -> None:
    record = parse('a = 1; b = "x" "y"; c = 2;')

    with pytest.raises(JdlError, match=r"JDL line 1, column 16: found '\"', expected ';'"):
        record.get("b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a = 1", "JDL line 1, column 7: found the end of the text, expected ';' or ']'"),
        ("[a = 1] x", "JDL line 1, column 9: found 'x', expected the end of the text"),
        ('a = {"b" "c"}', "JDL line 1, column 10: found '\"', expected ',' or '}'"),
        ("a = {1, 2", "JDL line 1, column 10: found the end of the text, expected ',' or '}'"),
        ("a =;", "JDL line 1, column 4: found ';', expected a value"),
        ("a 1", "JDL line 1, column 4: found the end of the text, expected '=' after the attribute name 'a 1'"),
        ('"a" = 1', "JDL line 1, column 1: found '\"', expected an attribute name"),
        ("a = x\n b = 2", "JDL line 2, column 4: found '=', expected ';' before the next attribute"),
        ('a = "b', "JDL line 1, column 5: found the end of the text, expected a closing double quote for this one"),
        ("a = 1 /* b", "JDL line 1, column 7: found the end of the text, expected a closing */ for this one"),
        ('a = "\0"', r"""JDL line 1, column 5: found a NUL in '"\x00"', expected text without"""),
        ("a = '\ud800'", r"JDL line 1, column 6: found '\ud800', expected characters that UTF-8 can hold"),
    ],
)
def test_a_broken_text_is_refused_with_place_and_expectation(text: str, message: str) -> None:
    assert refusal(text) == message


def test_an_error_knows_its_line_and_column() -> None:
    (problem,) = parse("a = 1;\n\n   b = {1;").problems

    assert (problem.line, problem.column) == (3, 10)


@pytest.mark.parametrize("opening", ["{", "[x=", "{[x={"])
def test_nesting_without_end_is_refused_with_a_sentence(opening: str) -> None:
    sentence = refusal("a = " + opening * 50_000)

    assert "expected" in sentence


def test_nesting_up_to_the_limit_is_read() -> None:
    value = only("a = " + "{" * MAX_DEPTH + "}" * MAX_DEPTH)

    assert repr(value)[:MAX_DEPTH] == "(" * MAX_DEPTH


def test_a_text_above_the_size_limit_is_refused_with_a_sentence() -> None:
    with pytest.raises(JdlError, match="the JDL has 1048577 bytes, expected at most 1048576"):
        parse("é" + ";" * (MAX_BYTES - 1))


@pytest.mark.parametrize(
    "piece",
    [
        '"',
        '\\"',
        '\\"x;\n',
        'a=x"y;\n',
        "[",
        "a=[",
        "{",
        "a={",
        "/*",
        "//",
        "\n",
        "\n ",
        " ",
        "a ",
        "=",
        "a=b[",
        ";",
        "'",
        "#\n",
        "a=",
    ],
)
def test_no_text_takes_longer_than_a_second(piece: str) -> None:
    text = (piece * MAX_BYTES)[: MAX_BYTES // 2]
    began_s = time.process_time()

    with suppress(JdlError):
        parse("x = " + text)

    assert time.process_time() - began_s < 1


def test_every_printable_character_survives_in_a_string() -> None:
    text = string.printable.replace('"', "")

    assert text == only(f'a = "{text}"')
