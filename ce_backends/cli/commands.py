"""The commands about configurations: they submit nothing."""

import argparse
import json
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ce_backends import cfg, registry, screen
from ce_backends.base import TaskSpec
from ce_backends.cfg import Value
from ce_backends.configuration.rehearsal import rehearse
from ce_backends.configuration.site_file import Definition, Reading, definitions, read
from ce_backends.counted import counted
from ce_backends.errors import CEMisconfigured, CEUnavailable
from ce_backends.options import Option, OptionValue
from ce_backends.readers import did_you_mean
from ce_backends.untrusted.text import visible

WRONG_USE = 2
UNAVAILABLE = 3
_SAMPLES = 2


def list_types(arguments: argparse.Namespace) -> int:
    """Name all CE types."""
    rows = [{"type": name, "here": _here(name), "from": registry.origin(name)} for name in registry.ce_types()]
    _show(rows, table([("TYPE", "HERE", "FROM"), *(tuple(row.values()) for row in rows)]), as_json=arguments.json)
    return 0


def _here(ce_type: str) -> str:
    """Return whether a type can be used on this machine; a broken plug-in must not hide the others."""
    try:
        found = registry.backend(ce_type)
    except CEMisconfigured as error:
        return f"no: {error}"
    return found.here() if isinstance(found, registry.Looks) else "yes"


def describe(arguments: argparse.Namespace) -> int:
    """Show the options of a CE type."""
    options = registry.backend(arguments.ce_type).OPTIONS
    rows = [{**asdict(option), "kind": option.kind.__name__, "expected": option.expected} for option in options]
    _show(rows, screen.wrapped("\n".join(_described(arguments.ce_type, options))), as_json=arguments.json)
    return 0


def _described(ce_type: str, options: Sequence[Option]) -> Iterator[str]:
    yield f"{ce_type}\n"
    for option in options:
        default = "found out" if option.default is None else option.default if option.default != "" else "none"
        yield f"  {option.name}  ({option.expected}; default: {default})"
        yield f"      {option.doc}"
    yield "\nExample:\n"
    examples = "".join(
        f"  {option.name} = {option.example or option.default}\n"
        for option in options
        if option.example or option.default not in (None, "")
    )
    yield f"LocalSite\n{{\n  LocalCE = {ce_type}\n{examples}}}"


def validate(arguments: argparse.Namespace) -> int:
    """Check every CE of a file; all mistakes are shown."""
    examined = [(definition, *examine(definition)) for definition in defined(arguments)]
    rows = [
        {
            "ce": d.name,
            "type": d.ce_type,
            "options": r.options,
            "mistakes": r.mistakes,
            "notes": r.notes,
            "trouble": trouble,
        }
        for d, r, trouble in examined
    ]
    _show(rows, "\n".join(line for each in examined for line in _validated(*each)), as_json=arguments.json)
    if any(reading.mistakes for _, reading, _ in examined):
        return WRONG_USE
    return UNAVAILABLE if any(trouble for _, _, trouble in examined) else 0


def examine(definition: Definition) -> tuple[Reading, str]:
    """Return what was read of a definition, and why its CE, if right, cannot be used on this machine now.

    What `validate` shows, `plan` and `test` go by: the options one by one, then the CE as it would be made of them.
    """
    reading = read(definition)
    if reading.mistakes:
        return reading, ""
    found = rehearse(definition.ce_type, reading.options)
    mistakes = [_placed(sentence, definition) for sentence in found.mistakes]
    notes = [*reading.notes, *(_placed(f"option {note}", definition) for note in found.notes)]
    return replace(reading, mistakes=mistakes, notes=notes), found.trouble


def _placed(sentence: str, definition: Definition) -> str:
    """Put before a sentence where the option stands that it is about."""
    about = next((name for name in re.findall(r"[Oo]ption (\w+)", sentence) if name in definition.options), "")
    return f"{definition.options[about].origin}: {sentence}" if about else sentence


def _validated(definition: Definition, reading: Reading, trouble: str) -> Iterator[str]:
    wrong = counted(len(reading.mistakes), "mistake") if reading.mistakes else ""
    not_here = f"right, but it cannot be used on this machine now: {trouble}" if trouble else ""
    yield f"{definition.name}: CE type {definition.ce_type or 'not set'}: {wrong or not_here or 'ok'}"
    yield from (f"  mistake: {sentence}" for sentence in reading.mistakes)
    yield from (f"  note: {sentence}" for sentence in reading.notes)
    yield from (f"  {name} = {value}" for name, value in reading.options.items())


def plan(arguments: argparse.Namespace) -> int:
    """Show what would be submitted for two tasks; told besides if it could not be done on this machine now."""
    definition, options, trouble = chosen(arguments)
    backend = registry.backend(definition.ce_type)
    complete = registry.validate(definition.ce_type, options)
    with tempfile.TemporaryDirectory(prefix="gridpilot-plan-") as scratch:
        if isinstance(backend, registry.Plans):
            steps = list(backend.plan(Path(scratch), complete, _samples(complete)))
        elif registry.origin(definition.ce_type) == "gridpilot":  # a pool
            steps = [f"start {_SAMPLES} tasks on this machine, each as `/bin/sh node_script` in a session of its own"]
        else:
            steps = [f"CE type {definition.ce_type} does not tell what it would do: it has no method plan"]
    _show({"ce": definition.name, "type": definition.ce_type, "steps": steps}, "\n".join(steps), as_json=arguments.json)
    if trouble:
        raise CEUnavailable(trouble)
    return 0


def _samples(options: Mapping[str, object]) -> Sequence[TaskSpec]:
    processors = int(str(options.get("NumberOfProcessors") or 1))
    return [
        TaskSpec(stamp=uuid.uuid4().hex, script="hostname\n", processors=processors, wall_s=3600)
        for _ in range(_SAMPLES)
    ]


def defined(arguments: argparse.Namespace) -> Sequence[Definition]:
    """Return the CEs that the arguments name: those of a file, or one of a type.

    Raises:
        CEMisconfigured: there is no such file and no such type.
    """
    given = {name: Value(text, f"-o {name}") for name, text in pairs(arguments.options).items()}
    if arguments.subject in registry.ce_types():
        return [Definition(name=arguments.subject, ce_type=arguments.subject, options=given)]
    path = Path(arguments.subject)
    if not path.exists() and path.suffix != ".cfg":
        registry.backend(arguments.subject)  # tells the nearest type
    found = definitions(cfg.read(path))
    wanted = [d for d in found if arguments.ce in ("", d.name, d.name.partition("/")[0])]
    if not wanted:
        names = list(dict.fromkeys(part for d in found for part in (d.name.partition("/")[0], d.name)))
        raise CEMisconfigured(f"{path}: there is no CE {arguments.ce}{did_you_mean(arguments.ce, names)}")
    return [replace(d, options={**d.options, **given}) for d in wanted]


def chosen(arguments: argparse.Namespace) -> tuple[Definition, Mapping[str, OptionValue], str]:
    """Return the one CE that the arguments name, its options, and why it cannot be used here now ("" if it can).

    Raises:
        CEMisconfigured: there are several, or its configuration has a mistake.
    """
    found = defined(arguments)
    if len(found) > 1:
        names = ", ".join(definition.name for definition in found)
        raise CEMisconfigured(f"{arguments.subject} defines several CEs: choose one by --ce: {names}")
    reading, trouble = examine(found[0])
    if reading.mistakes:
        raise CEMisconfigured("; ".join(reading.mistakes))
    return found[0], reading.options, trouble


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Split OPTION=VALUE.

    Raises:
        CEMisconfigured: there is no `=` in one.
    """
    for text in texts:
        if "=" not in text:
            raise CEMisconfigured(f"-o {text}: expected OPTION=VALUE")
    return dict(text.split("=", 1) for text in texts)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text, columns aligned."""
    return "\n".join(screen.table(rows))


def _show(value: object, text: str, *, as_json: bool) -> None:
    print(json.dumps(value, indent=2) if as_json else visible(text))
