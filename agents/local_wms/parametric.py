"""One JDL with `Parameters` becomes many jobs (WorkloadManagementSystem/Utilities/ParametricJob tells how)."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from agents.local_wms.jdl import JdlError, Record, Value, show, whole_number

MAX_JOBS = 1000
MAX_CHARACTERS = 8_000_000  # of all jobs of one JDL
MAX_VALUE = 10**18
WORDS = ("Parameters", "ParameterStart", "ParameterStep", "ParameterFactor")


@dataclass(frozen=True, slots=True)
class Sweep:
    """The values of one parameter; its name comes with a dot, the unnamed one has none."""

    suffix: str
    values: list[Value]

    @property
    def mark(self) -> str:
        """What stands in the JDL for the value."""
        return f"%({self.suffix[1:]})s" if self.suffix else "%s"


def expand(record: Record) -> list[str] | None:
    """Return one JDL text for each parameter, None when the job has no parameters.

    Raises:
        JdlError: a number of jobs that cannot be, or lists of different lengths.
    """
    names = [name for name, _ in record if name.lower().partition(".")[0] == "parameters"]
    if not names:
        return None
    count = _count(record, names)
    suffixes = sorted({"".join(name.partition(".")[1:]) for name in names})
    sweeps = [_sweep(record, suffix, count) for suffix in suffixes]
    rest = Record(dict(record.attributes))
    for sweep in sweeps:
        for word in WORDS:
            rest.drop(word + sweep.suffix)
    return _within(MAX_CHARACTERS, (_one(rest, sweeps, number, count) for number in range(count)))


def _within(most: int, texts: Iterable[str]) -> list[str]:
    found = []
    for text in texts:
        found.append(text)
        most -= len(text)
        if most < 0:
            raise JdlError(f"JDL: its jobs have more than {MAX_CHARACTERS} characters together")
    return found


def _count(record: Record, names: list[str]) -> int:
    counts = {
        name: len(v) if isinstance(v := record.get(name), list) else whole_number(record, name, 0) for name in names
    }
    if len(set(counts.values())) > 1:
        raise JdlError(f"JDL: parameter lists of different lengths: {counts}")
    count = counts[names[0]]
    if not 0 < count <= MAX_JOBS:
        raise JdlError(f"JDL attribute {names[0]} asks for {count} jobs: 1 to {MAX_JOBS} were expected")
    return count


def _sweep(record: Record, suffix: str, count: int) -> Sweep:
    listed = record.get(f"Parameters{suffix}")
    if isinstance(listed, list):
        return Sweep(suffix, listed)
    start, step, factor = (_number(record, f"{word}{suffix}", d) for word, d in zip(WORDS[1:], (1, 0, 1), strict=True))
    # as in DIRAC, the first value already has the type of the others
    values = [start * type(factor)(1) + type(step)(0)]
    while len(values) < count:
        values.append(values[-1] * factor + step)
        if abs(values[-1]) > MAX_VALUE:
            raise JdlError(f"JDL attribute ParameterFactor{suffix}: its values grow beyond {MAX_VALUE}")
    return Sweep(suffix, [str(value) for value in values])


def _number(record: Record, name: str, default: int) -> int | float:
    value = record.get(name)
    if value is None:
        return default
    for kind in (int, float):
        with suppress(ValueError, TypeError):
            number = kind(value)  # type: ignore[arg-type]  # a list is the TypeError
            if abs(number) <= MAX_VALUE:
                return number
    raise JdlError(f"JDL attribute {name} is {value!r}: a number was expected")


def _one(record: Record, sweeps: list[Sweep], number: int, count: int) -> str:
    numbered = str(number).zfill(len(str(count - 1)))
    job = Record()
    for name, value in record:
        job.put(name, _filled(value, sweeps, number, numbered))
    for sweep in sweeps:
        job.put(f"Parameter{sweep.suffix}", sweep.values[number])
    job.put("ParameterNumber", number)
    return show(job)


def _filled(value: Value, sweeps: list[Sweep], number: int, numbered: str) -> Value:
    """Put the values in the places of their marks; a list takes the place of a mark that stands alone."""
    if isinstance(value, list):
        filled = [_filled(item, sweeps, number, numbered) for item in value]
        return [part for item in filled for part in (item if isinstance(item, list) else [item])]
    if isinstance(value, Record):
        return Record({name.lower(): (name, _filled(inner, sweeps, number, numbered)) for name, inner in value})
    if isinstance(value, int):
        return value
    value = value.replace("%n", numbered)
    for sweep in sweeps:
        mine = sweep.values[number]
        if isinstance(mine, list) and value == sweep.mark:
            return mine
        value = value.replace(sweep.mark, _written(mine))
    return value


def _written(value: Value) -> str:
    """Return a value as it stands inside a text, a list as dirac-jobexec reads it."""
    return "{" + ", ".join(map(_written, value)) + "}" if isinstance(value, list) else str(value).strip()
