"""Members of archives as hostile makers make them, and an archive of them."""

import io
import tarfile

from ce_backends.untrusted.archive import ArchiveLimits

Member = tuple[tarfile.TarInfo, bytes]
SMALL = ArchiveLimits(unpacked_bytes=10**6, members=10, headers_bytes=200_000)


def file(name: str, content: bytes = b"x") -> Member:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    return made, content


def of_kind(name: str, kind: bytes, target: str = "") -> Member:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made, b""


def link(name: str, target: str) -> Member:
    return of_kind(name, tarfile.SYMTYPE, target)


def second_name(name: str, target: str) -> Member:
    return of_kind(name, tarfile.LNKTYPE, target)


def folder(name: str) -> Member:
    return of_kind(name, tarfile.DIRTYPE)


def packed(*members: Member, pax: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for one, content in members:
            one.pax_headers = pax or {}
            made.addfile(one, io.BytesIO(content))
    return buffer.getvalue()


def path_longer_than_any() -> list[Member]:
    """Links that are short as written and lead deeper than realpath looks: CVE-2025-4517."""
    part, steps, here, members = "d" * 247, "abcdefghijklmnop", "", []
    for step in steps:
        members += [folder(f"{here}{part}"), link(f"{here}{step}", part)]
        here = f"{here}{part}/"
    up = f"{'/'.join(steps)}/{'l' * 254}"
    return [
        *members,
        link(up, "../" * len(steps)),
        link("escape", f"{up}/../"),
        file("escape/created"),
        second_name("grab", "escape/secret"),
        file("grab", b"changed"),
    ]


def header(kind: bytes, size: int, name: str = "././@LongLink") -> bytes:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made.tobuf()
