"""What a file catalogue is asked, whichever it is. All of it in bulk: a job asks once for all of its files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A file that the catalogue knows.

    Attributes:
        lfn: its name.
        size_bytes: its size.
        adler32: its checksum, None where the catalogue has none.
        guid: its GUID, empty where the catalogue has none.
        replicas: the elements that hold it, with the PFN that was registered, empty where it is built of the LFN.
    """

    lfn: str
    size_bytes: int
    adler32: int | None
    guid: str = ""
    replicas: Mapping[str, str]

    def holds(self, size_bytes: int, adler32: int) -> bool:
        """Tell whether this content is the file's, as far as the catalogue knows."""
        return self.size_bytes == size_bytes and self.adler32 in (None, adler32)


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that the catalogue does not give.

    Attributes:
        lfn: its name.
        reason: a sentence.
        is_absent: it says that there is none; else it did not want, or was not able, to tell.
    """

    lfn: str
    reason: str
    is_absent: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file that lies on an element and shall be known, or a further replica of one.

    Attributes:
        lfn: its name.
        element: where it lies.
        pfn: as `Transfers.put` has returned it.
        size_bytes: its size.
        adler32: its checksum.
        guid: a UUID; two files never have the same one.
    """

    lfn: str
    element: str
    pfn: str
    size_bytes: int
    adler32: int
    guid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """What a catalogue knows in a directory.

    Attributes:
        folders: paths of the directories in it.
        files: in it; their replicas are not asked for.
    """

    folders: tuple[str, ...]
    files: tuple[FileRecord, ...]


class FileCatalogue(Protocol):
    """One catalogue, asked with one owner's credential. From any thread; each call may take as long as its retries."""

    name: str

    def look_up(self, lfns: Iterable[str]) -> dict[str, FileRecord | MissingFile]:
        """Return what is known of each of these files.

        Raises:
            ServiceError: the catalogue could not be asked, or not understood.
        """

    def register(self, files: Sequence[NewFile]) -> dict[str, str]:
        """Make files known; return for each LFN an empty text, or the sentence that says why not.

        It may be repeated: a file that is known with the same size, checksum and GUID is registered.

        Raises:
            ServiceError: as `look_up`; some of the files may be registered.
        """

    def add_replicas(self, files: Sequence[NewFile]) -> dict[str, str]:
        """Make further replicas of known files known; what is returned and raised is as of `register`."""
