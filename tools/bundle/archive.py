"""Zips of the bundle: equal content makes equal archives."""

import zipfile

_EPOCH = (1980, 1, 1, 0, 0, 0)


def add(archive: zipfile.ZipFile, name: str, content: bytes, *, is_stored: bool = False) -> None:
    """Add a file, packed as small as it gets or not at all."""
    member = zipfile.ZipInfo(name, _EPOCH)
    member.external_attr = 0o644 << 16
    member.compress_type = zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED
    archive.writestr(member, content, compresslevel=9)
