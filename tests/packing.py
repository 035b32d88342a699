"""All ways in which a sandbox may be packed."""

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable, Mapping

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["PACKED", "zstd"]

_WITH_CHECKSUM = {zstd.CompressionParameter.checksum_flag: 1}  # as the program does; without it damage may pass


def _zstd(content: bytes) -> bytes:
    return zstd.compress(content, options=_WITH_CHECKSUM)


PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": _zstd,
}
