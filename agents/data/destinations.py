"""Under which names output files go to the catalogue: by DIRAC's rules, checked before anything is moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.data.access import Access
from agents.data.lfn import BadLfn, is_lfn, lfn_of
from agents.errors import Blame, FailJob
from agents.jobs.jdl import JobDescription
from agents.jobs.job import Minor
from agents.jobs.payload import local_name, plain_pattern
from ce_backends.linux.foreign_tree import ForeignTree, Outside
from ce_backends.task.output_search import OutputSearch, SearchLimits
from ce_backends.untrusted.names import BadName, shown

_WILD = frozenset("*?[")
_SHOWN = 20
_LIMITS = SearchLimits()


@dataclass(frozen=True, slots=True)
class Destinations:
    """What was found, and what was not.

    Attributes:
        files: names among the outputs, by LFN.
        unmatched: patterns that nothing matches.
    """

    files: Mapping[str, str]
    unmatched: tuple[str, ...] = ()


def _folder(description: JobDescription, access: Access) -> str:
    """Return the LFN of the directory that outputs go to which name no other."""
    path = description.output_path
    if is_lfn(path):
        return path[4:].rstrip("/")
    prefix = access.elements.operation("LFNUserPrefix", "user").strip("/")
    own = f"/{access.vo}/{prefix}/{access.user[:1]}/{access.user}"
    below = path.strip("/") or f"{description.job_id // 1000}/{description.job_id}"
    return f"{own}/{below}"


def destinations(description: JobDescription, access: Access, outputs: Path, said: Sequence[str] = ()) -> Destinations:
    """Return where each file goes that a job's OutputData names or matches.

    Args:
        description: of the job.
        access: of its owner.
        outputs: the directory of what the task has left.
        said: what could not be brought from the node, a sentence each.

    Raises:
        FailJob: a file that is named is not there, none is there at all, two would have one name, or a name is no LFN.
    """
    folder, files, missing, unmatched = _folder(description, access), dict[str, str](), list[str](), list[str]()
    for pattern in description.output_data:
        local = plain_pattern(local_name(pattern))
        names = _found(outputs, local)
        if not names:
            (unmatched if set(local) & _WILD else missing).append(pattern)
        for name in names:
            base = name.rpartition("/")[2]
            lfn = _checked(f"{_parent(pattern)}/{base}" if is_lfn(pattern) else f"{folder}/{base}", access.vo)
            if files.setdefault(lfn, name) != name:
                raise _failure(f"{shown(name)} and {shown(files[lfn])} would both be {lfn}")
    if missing or not files:
        raise MissingOutputs([*missing, *unmatched], said)
    return Destinations(files, tuple(unmatched))


def _parent(pattern: str) -> str:
    return pattern[4:].rpartition("/")[0]


def _checked(lfn: str, vo: str) -> str:
    try:
        return lfn_of(lfn, vo)
    except BadLfn as error:
        raise _failure(str(error)) from error


def _found(outputs: Path, pattern: str) -> list[str]:
    """Return the files that a pattern names, of directories what is in them; through no link that leads outside."""
    try:
        tree = ForeignTree(outputs)
    except OSError:
        return []
    with tree:
        matches = OutputSearch(tree, _LIMITS).matches([pattern])
        return sorted(found.name for found in matches if not found.is_directory and _is_inside(tree, found.name))


def _is_inside(tree: ForeignTree, name: str) -> bool:
    try:
        with tree.file(name):
            return True
    except (Outside, BadName):
        return False


def _failure(detail: str) -> FailJob:
    return FailJob(Minor.UPLOADING_DATA, detail, blame=Blame.USER)


class MissingOutputs(FailJob):
    """Output files are not there that the JDL names; `names` are all of them."""

    def __init__(self, names: Sequence[str], said: Sequence[str]) -> None:
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        why = f" ({'; '.join(said)})" if said else ""
        listed = ", ".join(shown(name) for name in names[:_SHOWN])
        super().__init__(Minor.UPLOADING_DATA, f"Output data missing: {listed}{more}{why}", blame=Blame.USER)
        self.facts = {"OutputData": f"MissingFiles: {', '.join(names[:200])}"}
