"""CFG texts as people and DIRAC's tools write them, and what DIRAC's own reader (diraccfg 1.0.1) makes of them.

Tried by hand with that reader on 2026-11-30. None: it refuses the text, and so do both of ours. Where ours are kinder
the comment says so.
"""

TEXTS: list[tuple[str, dict[str, str] | None]] = [
    ("A\n{\nb = 1\n}", {"/A/b": "1"}),
    ("A {\nb = 1\n}\n", {"/A/b": "1"}),
    ("A { B {\nc = 1\n} }", {"/A/B/c": "1"}),
    ("A\n{ B\n{\nc = 1\n}}", {"/A/B/c": "1"}),
    ("A {}\nB\n{\nc = 1\n}", {"/B/c": "1"}),
    ("A\n\n\n{\nb = 1\n}", {"/A/b": "1"}),
    ("A { b = 1\n}", {"/A/b": "1"}),  # there the option is named `A { b`
    ("\ufeffA\n{\nb = 1\n}", {"/A/b": "1"}),  # there the mark is part of the name
    ("\ufeffx = 1", {"/x": "1"}),
    ("x = a\r\ny = b\r\n", {"/x": "a", "/y": "b"}),
    # lines end at line feeds only
    ("x = a\x0bb\x0cc\ny = 2", {"/x": "a\x0bb\x0cc", "/y": "2"}),
    ("x = a\u2028y = 2\u2029z = 3", {"/x": "a\u2028y = 2\u2029z = 3"}),
    ("x = a\x85}\nA\n{\nb = 1\x1c}\n}", {"/x": "a\x85}", "/A/b": "1\x1c}"}),
    ("x = a\rb", {"/x": "a\rb"}),
    ("x = \u00a0y\u00a0", {"/x": "y"}),
    ("  # c\n#}\nx = 1 # kept", {"/x": "1 # kept"}),
    ("A\n#{\n{\nb = 1\n}", {"/A/b": "1"}),
    ("A { # opens\nb = 1\n}", {"/A/b": "1"}),
    ("A\n{\nb = 1\n} # closes\nB\n{\nc = 1\n}", {"/A/b": "1", "/B/c": "1"}),  # there: `# closesB`
    ("x = {1}", {"/x": "{1}"}),
    ("x = y = z", {"/x": "y = z"}),
    ("x=a+=b", {"/x": "a+=b"}),
    ("x =", {"/x": ""}),
    ("x = 'a'\ny = \"b\"", {"/x": "'a'", "/y": '"b"'}),
    ("x = a \\\n b", {"/x": "a \\"}),
    ("L + = 2", {"/L +": "2"}),
    ("L = a\nL += b", {"/L": "a, b"}),
    ("L = a\nL+=b\nL +=c", {"/L": "a, b, c"}),
    ("L =\nL += b", {"/L": "b"}),  # there `, b`, which is the same list
    ("L += b", {"/L": "b"}),  # there an error
    ("x = 1\nx = 2", {"/x": "2"}),
    ("junk\nx = 1", {"/x": "1"}),
    ("A\n{\nb=1\n}\nA = 1", {"/A": "1"}),
    ("<html><body>", {}),
    ("LocalSite:\n  Site: x\n", {}),
    ("", {}),
    ("A\n{\nx = 1\n}\nA\n{\ny = 2\n}", None),
    ("A\n{\nB\n{\n}\nB\n{\ny = 2\n}\n}", None),
    ("A = 1\nA\n{\nb = 1\n}", None),
    ("A\n{\nx = 1", None),
    ("A {\n}\n}", None),
    ("}", None),
    ("{", None),
    ("= 1", None),
    ("+= 1", None),
    ('{"a": 1}', None),
]
