"""The ClassAd parser: cases by hand, and the same texts read by HTCondor's own parser."""

import math
import string

import classad2  # type: ignore[import-untyped]  # the wheel has no type information
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.jobs.classad import MAX_BYTES, MAX_DEPTH, Expression, JdlError, Record, Special, Value, parse

# What to write for each character of a string; characters that are not here are written as they are.
ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r", "\b": r"\b", "\f": r"\f", '"': r"\"", "\\": r"\\", "'": r"\'"}
RESERVED = ("true", "false", "undefined", "error", "is", "isnt")
GAPS = st.sampled_from(["", " ", "\n", "\t", " // a; comment = {\n", '/* ] } " */', "\r\n"])
EXPRESSIONS = (
    "other.MaxRAM > 3",
    'other.Site == "ANY" && x >= 3',
    "(1)",
    "{1, 2}[0]",
    "[a = 1].a",
    'member("x", { "x", "y" })',
    "a ? b : c ? d : -1",
    "a ?: b",
    "x is undefined",
    "x =?= UNDEFINED || !(y =!= 3)",
    ".root.'odd name'",
    "--3",
    "!true",
    "1 + 2 * 3 % 4 << 5 >>> 6",
    '"text" + "; ] }"',
    "f()",
)


def names() -> st.SearchStrategy[str]:
    plain = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
    return plain.filter(lambda name: name.lower() not in RESERVED)


def values() -> st.SearchStrategy[Value]:
    letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
    scalars: st.SearchStrategy[Value] = st.one_of(
        letters,
        st.text(";{}[]=/*#,\"\\' ", max_size=8),
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
        st.booleans(),
        st.sampled_from(Special),
        st.sampled_from(EXPRESSIONS).map(Expression),
    )
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple) | records(inner), max_leaves=8)


def records(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Record]:
    # one spelling of a name only: which of two wins is a case of its own
    pairs = st.lists(st.tuples(names(), inner), max_size=4, unique_by=lambda pair: pair[0].lower())
    return pairs.map(Record)


def written(value: Value, gap: str = " ") -> str:
    """Render a value as a ClassAd text with the same gap between all its parts."""
    if isinstance(value, Record):
        parts = [gap.join((name, "=", written(item, gap), ";")) for name, item in value.items()]
        return gap.join(("[", *parts, "]"))
    if isinstance(value, tuple):
        return "{" + gap + f"{gap},{gap}".join(written(item, gap) for item in value) + gap + "}"
    if isinstance(value, str):
        return '"' + "".join(ESCAPES.get(character, character) for character in value) + '"'
    if isinstance(value, Expression):
        return value.text
    return value.value if isinstance(value, Special) else str(value).lower()


def comparable(value: object) -> object:
    """Bring our values and HTCondor's into one form; an expression is only known as one."""
    if isinstance(value, (Record, classad2.ClassAd)):
        return {name.lower(): comparable(value[name]) for name in value}
    if isinstance(value, (tuple, list)):
        return [comparable(item) for item in value]
    if isinstance(value, (Expression, classad2.ExprTree)):
        return "an expression"
    if isinstance(value, (Special, classad2.Value)):
        return value.name.title()
    return (type(value).__name__, value)


def only(text: str) -> Value:
    (value,) = parse(text).values()
    return value


@given(records(values()), GAPS)
@settings(max_examples=80, deadline=None, database=None)
def test_a_rendered_record_is_read_back_as_it_was(record: Record, gap: str) -> None:
    text = written(record, gap)

    read = parse(text)

    assert repr(record) == repr(read)


@given(records(values()), GAPS)
@settings(max_examples=80, deadline=None, database=None)
def test_htcondor_reads_the_same_values(record: Record, gap: str) -> None:
    text = written(record, gap)
    theirs = classad2.ClassAd(text)

    ours = parse(text)

    assert comparable(theirs) == comparable(ours)


TOKENS = (
    "a",
    "1",
    "+",
    "(",
    ")",
    "?",
    ":",
    ".b",
    "[",
    "{",
    "}",
    "==",
    '"s"',
    "is",
    "!",
    "f(",
    "&&",
    ".5",
    "b=",
    ";",
    "<",
)


def htcondor_accepts(text: str) -> bool:
    try:
        classad2.ClassAd(text)
    except classad2.ClassAdException:
        return False
    return True


def refusal(text: str) -> str | None:
    """Return our sentence against a text, None when we accept it."""
    try:
        parse(text)
    except JdlError as error:
        return str(error)
    return None


@given(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=7))
@settings(max_examples=300, deadline=None, database=None)
@example(["a", "?", ":", "a"])
@example(["f(", "1", ")"])
@example(["is"])
def test_htcondor_accepts_the_same_expressions(tokens: list[str]) -> None:
    body = " ".join(tokens)
    # the two differences by choice: strings side by side, and a record that opens with a semicolon
    joined = body.replace('"s" "s"', "(").replace("[ ;", "(")
    text = f"[ x = {joined} ]"

    accepted = refusal(text) is None

    assert htcondor_accepts(text) == accepted


@given(st.text(max_size=60) | st.text("ab=;{}[]()\"'\\/*#.,0123456789eE+-?: \n", max_size=60))
@settings(max_examples=400, deadline=None, database=None)
def test_garbage_raises_nothing_but_a_jdl_error(text: str) -> None:
    sentence = refusal(text)

    assert sentence is None or "expected" in sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'a = "x\"y\\z"', 'x"y\\z'),
        (r'a = "\n\t\r\b\f\'"', "\n\t\r\b\f'"),
        (r'a = "\101\60\7!"', "A0\a!"),
        (r'a = "\303\251"', "é"),
        (r'a = "\400\8\q"', " 08q"),
        ('a = "one; two {three} = // four /* five"', "one; two {three} = // four /* five"),
        ('a = "# not\n# a comment"', "# not\n# a comment"),
        ('a = "žluťoučký 🐎"', "žluťoučký 🐎"),
        ("a = 42", 42),
        ("a = -3", -3),
        ("a = - 3", -3),
        ("a = +3", 3),
        ("a = 9223372036854775807", 2**63 - 1),
        ("a = 010", 10),
        ("a = .5", 0.5),
        ("a = -1.5E-3", -0.0015),
        ("a = TRUE", True),
        ("a = False", False),
        ("a = Undefined", Special.UNDEFINED),
        ("a = error", Special.ERROR),
        ("a = {}", ()),
        ('a = {"one two", "x;y", "p,q"}', ("one two", "x;y", "p,q")),
        ('a = {"x",}', ("x",)),
        ('a = {{1}, {"b"}}', ((1,), ("b",))),
    ],
)
def test_a_plain_value_is_read_as_what_it_is(text: str, expected: Value) -> None:
    value = only(text)

    assert (type(expected), expected) == (type(value), value)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_expression_is_kept_as_it_was_written(text: str) -> None:
    value = only(f"[ Requirements =  {text} ; ]")

    assert Expression(text) == value


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
    ],
)
def test_brackets_last_semicolon_and_comment_lines_may_be_there_or_not(text: str) -> None:
    record = parse(text)

    assert dict(record) == {"a": 1, "b": 2}


@pytest.mark.parametrize("text", ["", "[]", " \n // nothing\n", "[;]"])
def test_a_text_without_attributes_is_an_empty_record(text: str) -> None:
    assert len(parse(text)) == 0


def test_names_match_in_any_case_and_keep_their_spelling() -> None:
    record = parse("[ StdOutput = 1; 'odd name; here' = 2 ]")

    assert (list(record), record["STDoutput"]) == (["StdOutput", "odd name; here"], 1)


def test_the_last_of_two_attributes_of_one_name_wins() -> None:
    record = parse("a = 1; b = 2; A = 3")

    assert dict(record) == {"A": 3, "b": 2}


def test_a_nested_record_is_a_record() -> None:
    record = only('a = [ b = { [ c = "x" ] } ]')

    assert repr(record) == "Record([('b', (Record([('c', 'x')]),))])"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1 b = 2", "JDL line 1, column 7: found 'b', expected ';'"),
        ("[a = 1\n b = 2]", "JDL line 2, column 2: found 'b', expected ';' or ']'"),
        ("[a = 1", "JDL line 1, column 7: found the end of the text, expected ';' or ']'"),
        ("[a = 1] x", "JDL line 1, column 9: found 'x', expected the end of the text"),
        ('a = {"b" "c"}', "JDL line 1, column 10: found '\"c\"', expected ',' or '}'"),
        ("a = {1, 2", "JDL line 1, column 10: found the end of the text, expected ',' or '}'"),
        ("a = {,}", "JDL line 1, column 6: found ',', expected a value"),
        ("a =;", "JDL line 1, column 4: found ';', expected a value"),
        ("a 1", "JDL line 1, column 3: found '1', expected '=' after the attribute name 'a'"),
        ('"a" = 1', "JDL line 1, column 1: found '\"a\"', expected an attribute name"),
        (
            "a = b ? c",
            "JDL line 1, column 10: found the end of the text, expected ':' of the conditional that '?' began",
        ),
        ("a = (b", "JDL line 1, column 7: found the end of the text, expected an operator or ')'"),
        ("a = b[1", "JDL line 1, column 8: found the end of the text, expected an operator or ']'"),
        ("a = b.1", "JDL line 1, column 6: found '.1', expected ';'"),
        ("a = b. ", "JDL line 1, column 8: found the end of the text, expected an attribute name after '.'"),
        ('a = "b', "JDL line 1, column 5: found the end of the text, expected a closing double quote for this one"),
        ("'a = b", "JDL line 1, column 1: found the end of the text, expected a closing single quote for this one"),
        ("a = 1 /* b", "JDL line 1, column 7: found the end of the text, expected a closing */ for this one"),
        ("a = 1K", "JDL line 1, column 5: found '1K', expected a decimal number without a unit"),
        ("a = 0x1F", "JDL line 1, column 5: found '0x1F', expected a decimal number without a unit"),
        ("a = 1.", "JDL line 1, column 5: found '1.', expected a decimal number without a unit"),
        ("a = 1e999", "JDL line 1, column 5: found '1e999', expected a number below 1.8e308"),
        (
            "a = 9223372036854775808",
            "JDL line 1, column 5: found '9223372036854775808', expected a number that fits in 64 bits",
        ),
        (r'a = "\377"', r"""JDL line 1, column 5: found '"\\377"', expected octal escapes that form UTF-8"""),
        (r'a = "\0"', r"""JDL line 1, column 5: found a NUL in '"\\0"', expected text without"""),
        ("a = é", "JDL line 1, column 5: found 'é', expected a name, a value or an operator"),
        ("a = 1; # b", "JDL line 1, column 8: found '#', expected a name, a value or an operator"),
        ("a = '\ud800'", r"JDL line 1, column 6: found '\ud800', expected characters that UTF-8 can hold"),
    ],
)
def test_a_broken_text_is_refused_with_place_and_expectation(text: str, message: str) -> None:
    with pytest.raises(JdlError) as caught:
        parse(text)

    assert message == str(caught.value)


def test_an_error_knows_its_line_and_column() -> None:
    with pytest.raises(JdlError) as caught:
        parse("a = 1;\n\n   b == 2;")

    assert (caught.value.line, caught.value.column) == (3, 6)


@pytest.mark.parametrize("opening", ["{", "(", "[x=", "f(", "y[", "y ? "])
def test_nesting_without_end_is_refused_with_a_sentence(opening: str) -> None:
    with pytest.raises(JdlError, match=f"nested more than {MAX_DEPTH} deep, expected fewer"):
        parse("a = " + opening * 50_000)


def test_nesting_up_to_the_limit_is_read() -> None:
    value = only("a = " + "{" * MAX_DEPTH + "}" * MAX_DEPTH)

    assert repr(value)[:MAX_DEPTH] == "(" * MAX_DEPTH


def test_a_text_above_the_size_limit_is_refused_with_a_sentence() -> None:
    with pytest.raises(JdlError, match="the JDL has 1048577 bytes, expected at most 1048576"):
        parse("é" + ";" * (MAX_BYTES - 1))


def test_a_string_as_long_as_the_limit_allows_is_read() -> None:
    value = only('a="' + "\\n" * (MAX_BYTES // 2 - 3) + '"')

    assert isinstance(value, str)
    assert value.count("\n") == MAX_BYTES // 2 - 3


def test_a_number_of_very_many_digits_is_refused_not_computed() -> None:
    with pytest.raises(JdlError, match="expected a number that fits in 64 bits"):
        parse("a = " + "9" * 100_000)


def test_every_printable_character_survives_in_a_string() -> None:
    text = string.printable.replace("\\", "").replace('"', "")

    assert text == only(f'a = "{text}"')


def test_a_small_real_stays_a_real() -> None:
    value = only("a = 5e-324")

    assert isinstance(value, float)
    assert math.nextafter(0, 1) == value
