"""Unpacking archives of strangers: what may come of a member is decided by its text, and done by descriptors."""

import os
import stat
import tarfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ce_backends.linux.foreign_tree import ForeignTree
from ce_backends.untrusted.archive import ArchiveLimits, BadArchive, ForeignArchive
from ce_backends.untrusted.names import BadName, check_link, parts_of, shown

MOST_DIRECTORIES = 10_000
_LATEST_S = 2**32 - 1  # of a time that every file system can keep


class Admission:
    """Judges the members of one archive, in order, by their text alone.

    Attributes:
        copied_bytes: what second names of files take when each of them is copied.
    """

    def __init__(self) -> None:
        self._links: set[tuple[str, ...]] = set()
        self._directories: set[tuple[str, ...]] = set()
        self._sizes: dict[tuple[str, ...], int] = {}
        self.copied_bytes = 0

    def parts(self, member: tarfile.TarInfo) -> tuple[str, ...]:
        """Return the name of a member in parts; none for the directory that it is unpacked into.

        Raises:
            BadName: the name or the target of a link leads outside or through a link of this archive, or cannot be
                used; or the member is neither file, directory nor link.
        """
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise BadName(f"{shown(member.name)} is neither file, directory nor link")
        parts = parts_of(member.name)
        if not parts and not member.isdir():
            raise BadName(f"{shown(member.name)} names no file")
        self._check_way(member.name, parts[:-1])
        self._count_directories(parts if member.isdir() else parts[:-1])
        if member.issym():
            check_link(member.name, member.linkname, len(parts) - 1)
            self._links.add(parts)
        if member.islnk():
            check_link(member.name, member.linkname, 0)
            self._check_way(member.linkname, parts_of(member.linkname))
        self._count_bytes(member, parts)
        return parts

    def _count_bytes(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        if member.isreg():
            self._sizes[parts] = member.size
        elif member.islnk():
            self._sizes[parts] = size = self._sizes.get(parts_of(member.linkname), 0)
            self.copied_bytes += size

    def _count_directories(self, parts: tuple[str, ...]) -> None:
        """Take note of a directory and those above it, which come without a member of their own."""
        while parts and parts not in self._directories:
            self._directories.add(parts)
            parts = parts[:-1]
        if len(self._directories) > MOST_DIRECTORIES:
            raise BadName(f"there are more than {MOST_DIRECTORIES} directories")

    def _check_way(self, name: str, parts: tuple[str, ...]) -> None:
        if self._links and any(parts[:end] in self._links for end in range(1, len(parts) + 1)):
            raise BadName(f"{shown(name)} leads through a link of the archive")


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in an archive.

    Attributes:
        size_bytes: what it takes when it is unpacked and each name is a file of its own; headers count too.
        members: how many.
    """

    size_bytes: int
    members: int


def look_through(packed: BinaryIO, limits: ArchiveLimits) -> Contents:
    """Read all of an archive.

    Raises:
        BadArchive: it cannot be read, or is more than its limits allow.
        BadName: a member would not be admitted.
    """
    archive, admission = ForeignArchive(packed, limits), Admission()
    for member in archive:
        admission.parts(member)
    size_bytes = archive.read_bytes + admission.copied_bytes
    if size_bytes > limits.unpacked_bytes:
        raise BadArchive(f"it unpacks to more than {limits.unpacked_bytes // 10**6} MB")
    return Contents(size_bytes, archive.members)


def unpack(packed: BinaryIO, into: Path, limits: ArchiveLimits) -> list[str]:
    """Unpack all of an archive into a directory; return the names of its members.

    Raises:
        BadArchive: it cannot be read, or is more than its limits allow.
        BadName: a member is not admitted.
        OSError: a member cannot be made.
    """
    archive, admission, names = ForeignArchive(packed, limits), Admission(), []
    with ForeignTree(into) as tree:
        for member in archive:
            parts = admission.parts(member)
            put(archive, member, parts, tree)
            names.append("/".join(parts))
    return names


def put(archive: ForeignArchive, member: tarfile.TarInfo, parts: Sequence[str], tree: ForeignTree) -> None:
    """Make a member below a tree; what is there under its name is replaced, unless that is a directory.

    Args:
        archive: whose present member it is.
        member: as it was admitted.
        parts: its name.
        tree: nothing outside of it is touched, whatever the rest may be.

    Raises:
        BadArchive: its content cannot be read.
        OSError: it cannot be made.
    """
    if member.isdir():
        with tree.parent((*parts, ""), make=True):
            pass
    elif member.isreg():
        with tree.new_file(parts, member.mode & 0o755 | 0o600) as file:
            for piece in archive.content():
                file.write(piece)
            file.flush()
            moment_s = max(0, min(int(member.mtime), _LATEST_S))
            os.utime(file.fileno(), (moment_s, moment_s))
    else:
        _put_link(member, parts, tree)


def _put_link(member: tarfile.TarInfo, parts: Sequence[str], tree: ForeignTree) -> None:
    with tree.parent(parts, make=True) as parent:
        if member.issym():
            with suppress(FileNotFoundError):
                os.unlink(parts[-1], dir_fd=parent)
            os.symlink(member.linkname, parts[-1], dir_fd=parent)
            return
        source = parts_of(member.linkname)
        with tree.parent(source) as place:
            if not stat.S_ISREG(os.lstat(source[-1], dir_fd=place).st_mode):  # a link, moved, would lead elsewhere
                raise BadName(f"{shown(member.name)} is a second name of something that is no file")
            if source != tuple(parts):
                with suppress(FileNotFoundError):
                    os.unlink(parts[-1], dir_fd=parent)
                os.link(source[-1], parts[-1], src_dir_fd=place, dst_dir_fd=parent, follow_symlinks=False)
