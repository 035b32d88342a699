"""DIRAC's FileCatalog: files, their replicas and their metadata, many in each call."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from agents.errors import Refused
from agents.wms import answers
from agents.wms.service import Service

_AT_ONCE = 1000  # files in one call
_LONGEST_REASON = 300
_T = TypeVar("_T")


class FileCatalog:
    """Asks and tells; each call gives what succeeded by LFN, and for all others the catalogue's own words."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def metadata(self, lfns: Sequence[str]) -> tuple[dict[str, Mapping[str, object]], dict[str, str]]:
        """Return size, checksum, GUID and more of each file.

        Raises:
            ServiceError: it cannot be had, or is not understood.
        """
        good, bad = self._each("getFileMetadata", dict.fromkeys(lfns, True))
        call = "FileCatalog.getFileMetadata"
        return {lfn: answers.mapping(value, f"{call}: {lfn[:80]}") for lfn, value in good.items()}, bad

    def replicas(self, lfns: Sequence[str]) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
        """Return the elements that hold each file, with the PFN that was registered; empty where it is to be built.

        Raises:
            ServiceError: it cannot be had, or is not understood.
        """
        good, bad = self._each("getReplicas", dict.fromkeys(lfns, True), as_list=True)
        call = "FileCatalog.getReplicas"
        found = {lfn: answers.mapping(value, f"{call}: {lfn[:80]}") for lfn, value in good.items()}
        return {
            lfn: {element: pfn if isinstance(pfn, str) else "" for element, pfn in elements.items()}
            for lfn, elements in found.items()
        }, bad

    def directory(self, path: str) -> tuple[dict[str, Mapping[str, object]], list[str]]:
        """Return what lies in a directory: the metadata of each file by its name, and the paths of its directories.

        Raises:
            ServiceError: it cannot be had, or is not understood; Refused where there is no such directory.
        """
        call = f"FileCatalog.listDirectory: {path[:80]}"
        good, bad = self._each("listDirectory", {path: True}, further=(False,))
        if path in bad:
            raise Refused(f"{path}: {bad[path]}")
        content = answers.mapping(good[path], call)
        files = answers.mapping(content.get("Files", {}), f"{call}: Files")
        folders = answers.mapping(content.get("SubDirs", {}), f"{call}: SubDirs")
        facts = {name.rpartition("/")[2]: answers.mapping(fact, call) for name, fact in files.items()}
        return {n: answers.mapping(fact.get("MetaData", {}), call) for n, fact in facts.items()}, list(folders)

    def add_files(self, files: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
        """Register files, each by PFN, SE, Size, GUID and Checksum; return the reasons of those that are not.

        Raises:
            ServiceError: there was no usable answer; some may be registered.
        """
        return self._each("addFile", files)[1]

    def add_replicas(self, files: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
        """Register further replicas, each by PFN and SE; as `add_files`."""
        return self._each("addReplica", files)[1]

    def _each(
        self, method: str, files: Mapping[str, object], *, as_list: bool = False, further: Sequence[object] = ()
    ) -> tuple[dict[str, object], dict[str, str]]:
        call = f"FileCatalog.{method}"
        good: dict[str, object] = {}
        bad: dict[str, str] = {}
        for some in _chunks(files):
            arguments: Sequence[object] = [list(some), False] if as_list else [some, *further]
            answer = answers.mapping(self._service.call(method, *arguments), call)
            good |= _of(some, answers.mapping(answer.get("Successful", {}), f"{call}: Successful"))
            failed = _of(some, answers.mapping(answer.get("Failed", {}), f"{call}: Failed"))
            bad |= {lfn: _words(reason) for lfn, reason in failed.items()}
            bad |= {lfn: f"{call} says nothing of it" for lfn in some if lfn not in good and lfn not in bad}
        return good, bad


def _of(asked: Mapping[str, object], said: Mapping[str, object]) -> dict[str, object]:
    """Return what was said of the files that were asked for."""
    return {lfn: value for lfn, value in said.items() if lfn in asked}


def _words(reason: object) -> str:
    return str(reason)[:_LONGEST_REASON] or "refused without a reason"


def _chunks(files: Mapping[str, _T]) -> Iterator[dict[str, _T]]:
    left = iter(files.items())
    while some := dict(islice(left, _AT_ONCE)):
        yield some
