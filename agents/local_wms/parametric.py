"""One JDL with `Parameters` becomes many jobs (WorkloadManagementSystem/Utilities/ParametricJob tells how)."""

from dataclasses import dataclass

from agents.local_wms.jdl import Expression, JdlError, Record, Value, show, whole_number

MAX_JOBS = 1000
WORDS = ("Parameters", "ParameterStart", "ParameterStep", "ParameterFactor")


@dataclass(frozen=True, slots=True)
class Sweep:
    """The values of one parameter; its name comes with a dot, the unnamed one has none."""

    suffix: str
    values: list[str]

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
    return [_one(record, sweeps, number, count) for number in range(count)]


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
        return Sweep(suffix, [_plain(item) for item in listed])
    start, step, factor = (_number(record, f"{word}{suffix}", d) for word, d in zip(WORDS[1:], (1, 0, 1), strict=True))
    # as in DIRAC, the first value already has the type of the others
    values = [start * type(factor)(1) + type(step)(0)]
    while len(values) < count:
        values.append(values[-1] * factor + step)
    return Sweep(suffix, [str(value) for value in values])


def _number(record: Record, name: str, default: int) -> int | float:
    value = record.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise JdlError(f"JDL attribute {name} is {value!r}: a number was expected")
    return value


def _plain(item: Value) -> str:
    return item.text if isinstance(item, Expression) else str(item).strip()


def _one(record: Record, sweeps: list[Sweep], number: int, count: int) -> str:
    numbered = str(number).zfill(len(str(count - 1)))

    def filled(text: str) -> str:
        text = text.replace("%n", numbered)
        for sweep in sweeps:
            text = text.replace(sweep.mark, sweep.values[number])
        return text

    job = record.map_text(filled)
    for sweep in sweeps:
        for word in WORDS:
            job.drop(word + sweep.suffix)
        job.put(f"Parameter{sweep.suffix}", sweep.values[number])
    job.put("ParameterNumber", number)
    return show(job)
