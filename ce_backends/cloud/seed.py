"""The disc by which a machine without a cloud's metadata service is told its user data: cloud-init's NoCloud seed.

An ISO 9660 image with a few small files in its root, as small as Linux reads it; their names are kept as they are.
"""

import struct
from collections.abc import Mapping, Sequence

LABEL = "cidata"
_SECTOR = 2048
_ROOT, _TABLES, _FILES = 18, (19, 20), 21  # sectors: root directory, path tables in both byte orders, what is in files
_NO_DATE = bytes(7)
_NO_LONG_DATE = b"0" * 16 + b"\0"


def iso(files: Mapping[str, bytes], label: str = LABEL) -> bytes:
    """Return the image of a disc.

    Args:
        files: by name; as many as one sector lists.
        label: of the volume.
    """
    records, contents, sector = [_record(b"\0", _ROOT, _SECTOR, 2), _record(b"\1", _ROOT, _SECTOR, 2)], b"", _FILES
    for name, content in sorted(files.items()):
        records.append(_record(name.encode("ascii"), sector, len(content), 0))
        contents += _padded(content)
        sector += -(-len(content) // _SECTOR)
    root = b"".join(records)
    if len(root) > _SECTOR:
        raise ValueError(f"{len(files)} files are too many for the root of a seed")
    tables = [_padded(_path_table(order)) for order in "<>"]
    return b"".join([bytes(16 * _SECTOR), _volume(label, sector), _END, _padded(root), *tables, contents])


def _both(number: int) -> bytes:
    """Return a number in both byte orders."""
    return struct.pack("<I", number) + struct.pack(">I", number)


def _both_short(number: int) -> bytes:
    return struct.pack("<H", number) + struct.pack(">H", number)


def _record(name: bytes, sector: int, size: int, flags: int) -> bytes:
    """Return the entry of a file or directory."""
    parts: Sequence[bytes] = [
        b"\0",
        _both(sector),
        _both(size),
        _NO_DATE,
        bytes([flags, 0, 0]),
        _both_short(1),
        bytes([len(name)]),
        name,
    ]
    body = b"".join(parts)
    body += bytes((len(body) + 1) % 2)
    return bytes([len(body) + 1]) + body


def _path_table(order: str) -> bytes:
    return b"\1\0" + struct.pack(f"{order}IH", _ROOT, 1) + b"\0\0"


def _volume(label: str, sectors: int) -> bytes:
    """Return the descriptor of the volume."""
    size = len(_path_table("<"))
    little, big = (struct.pack(f"{order}I", sector) for order, sector in zip("<>", _TABLES, strict=True))
    parts = [
        b"\1CD001\1\0",
        b" " * 32,
        label.encode("ascii").ljust(32),
        bytes(8),
        _both(sectors),
        bytes(32),
        _both_short(1),
        _both_short(1),
        _both_short(_SECTOR),
        _both(size),
        little,
        bytes(4),
        big,
        bytes(4),
        _record(b"\0", _ROOT, _SECTOR, 2),
        b" " * (4 * 128 + 3 * 37),
        _NO_LONG_DATE * 4,
        b"\1",
    ]
    return _padded(b"".join(parts))


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _SECTOR)


_END = _padded(b"\xffCD001\1")
