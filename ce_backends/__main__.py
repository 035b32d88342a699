"""`python -m ce_backends`: list, describe, validate and test CE types."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ce_backends import conformance
from ce_backends.errors import CEError, CEMisconfigured
from ce_backends.registry import backend, ce_types, create, validate
from ce_backends.subject import Subject

WRONG_USE = 2


def parser() -> argparse.ArgumentParser:
    """Return the command line: four commands, each with --json."""
    top = argparse.ArgumentParser(prog="python -m ce_backends", description="The computing elements gridpilot can use.")
    commands = top.add_subparsers(dest="command", required=True)
    for name, does in (
        ("list", "name all CE types"),
        ("describe", "show the options of a CE type"),
        ("validate", "check options and show what the CE would get"),
        ("test", "run the conformance suite against the real CE"),
    ):
        command = commands.add_parser(name, help=does, description=does)
        command.add_argument("--json", action="store_true", help="print JSON")
        if name != "list":
            command.add_argument("ce_type", metavar="TYPE")
        if name in ("validate", "test"):
            command.add_argument("-o", dest="options", action="append", default=[], metavar="OPTION=VALUE")
        if name == "test":
            command.add_argument("--deadline", type=float, default=60.0, metavar="S", help="per step (default: 60)")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 1 where the suite found a fault, 2 for wrong use."""
    arguments = parser().parse_args(argv)
    run = {"list": _list, "describe": _describe, "validate": _validate, "test": _test}[arguments.command]
    try:
        return run(arguments)
    except CEError as error:
        print(f"ce_backends: {error}", file=sys.stderr)
        return WRONG_USE


def _list(arguments: argparse.Namespace) -> int:
    _show(ce_types(), "\n".join(ce_types()), as_json=arguments.json)
    return 0


def _describe(arguments: argparse.Namespace) -> int:
    options = backend(arguments.ce_type).OPTIONS
    table = [
        {
            "name": option.name,
            "expected": option.expected,
            "unit": option.unit,
            "default": option.default,
            "doc": option.doc,
        }
        for option in options
    ]
    text = "\n".join(f"{o.name} = {o.default}: {o.expected}. {o.doc}" for o in options)
    _show(table, text, as_json=arguments.json)
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    options = validate(arguments.ce_type, _pairs(arguments.options))
    _show(options, "\n".join(f"{name} = {value}" for name, value in options.items()), as_json=arguments.json)
    return 0


def _test(arguments: argparse.Namespace) -> int:
    options = _pairs(arguments.options)
    validate(arguments.ce_type, options)
    with tempfile.TemporaryDirectory(prefix="gridpilot-conformance-") as scratch:
        state = Path(scratch) / "state"
        subject = Subject(lambda: create(arguments.ce_type, options, state), Path(scratch), arguments.deadline)
        results = []
        for result in conformance.run(subject):
            results.append(result)
            if not arguments.json:
                word = "ok" if result.passed else "FAILED"
                print(f"{word:6}  {result.wall_s:6.2f} s  {result.check}", flush=True)
                if result.problem:
                    print(f"        {result.problem}", flush=True)
    if arguments.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    return 0 if all(result.passed for result in results) else 1


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    """Split OPTION=VALUE.

    Raises:
        CEMisconfigured: there is no `=` in one.
    """
    for text in texts:
        if "=" not in text:
            raise CEMisconfigured(f"-o {text}: expected OPTION=VALUE")
    return dict(text.split("=", 1) for text in texts)


def _show(value: object, text: str, *, as_json: bool) -> None:
    print(json.dumps(value, indent=2) if as_json else text)


if __name__ == "__main__":
    sys.exit(main())
