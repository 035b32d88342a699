"""tarfile as it is since Python 3.11.4: with filters for what is unpacked. Debian 12 has Python 3.11.2."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tarfile
else:
    try:
        from backports import tarfile
    except ImportError:
        import tarfile

__all__ = ["tarfile"]
