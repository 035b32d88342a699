"""What jobs of DIRAC's Job API read about themselves: `job.info`, their JDL in DIRAC's other form."""

from collections.abc import Iterator
from pathlib import Path

from agents.jobs.classad import JdlError, Record, parse
from agents.log import EventLog

log = EventLog("jobs")

NAME = "job.info"


def write_job_info(directory: Path, jdl: str) -> list[Path]:
    """Write a job's description into a directory; the list is empty when that cannot be done.

    Args:
        directory: of the job.
        jdl: that could be read.
    """
    file = directory / NAME
    try:
        file.write_text("".join(f"{line}\n" for line in _lines(parse(jdl), "/Job")), encoding="utf-8")
    except (OSError, JdlError) as error:  # few payloads look at it: no reason to fail one
        log.warning("job_info.not_written", file=file, cause=error)
        return []
    return [file]


def _lines(record: Record, path: str) -> Iterator[str]:
    """Yield `/Job/Name = value` for each attribute that can be read; a list has commas, a record a path of its own."""
    for name, value in record.items():
        if isinstance(value, Record):
            yield from _lines(value, f"{path}/{name}")
            continue
        texts = [value] if isinstance(value, str) else [each for each in value if isinstance(each, str)]
        yield f"{path}/{name} = {' '.join(', '.join(texts).split())}"
