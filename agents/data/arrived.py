"""What has come for a job, of its data and of the files of the catalogue in its input sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.jobs.moved import Moved


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What has come for a job.

    Attributes:
        files: for the payload's directory, files and folders; they belong to nobody else.
        packed: files of the input sandbox, which may be archives.
        facts: job parameters.
        moved: what was tried.
    """

    files: tuple[Path, ...] = ()
    packed: tuple[Path, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    moved: tuple[Moved, ...] = ()
