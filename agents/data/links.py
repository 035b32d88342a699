"""What tells a payload where its input data are: `InputData.json`, and the POOL catalogue of ROOT's frameworks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from agents.data.catalogue import FileRecord
from agents.data.checksum import text_of
from agents.jobs.payload import POOL_CATALOGUE

JSON = "InputData.json"
_POOL_HEAD = """<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
<!DOCTYPE POOLFILECATALOG SYSTEM "InMemory">
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One input file of a payload.

    Attributes:
        record: what the catalogue says.
        path: relative to the payload's directory, empty where the file is not here.
        urls: by which the payload may read it, the best first; none where it is here.
        element: which holds it, or from which it came.
    """

    record: FileRecord
    path: str = ""
    urls: tuple[str, ...] = ()
    element: str = ""


def write(links: Sequence[Link], into: Path) -> list[Path]:
    """Write both files into a directory; return them.

    Raises:
        OSError: they cannot be written.
    """
    (into / JSON).write_text(json.dumps({link.record.lfn: _fields(link) for link in links}, indent=1) + "\n", "utf-8")
    (into / POOL_CATALOGUE).write_text(_pool(links), "utf-8")
    return [into / JSON, into / POOL_CATALOGUE]


def _fields(link: Link) -> dict[str, object]:
    record = link.record
    where: dict[str, object] = {"path": link.path} if link.path else {"urls": list(link.urls)}
    checksum = None if record.adler32 is None else text_of(record.adler32)
    return {**where, "size": record.size_bytes, "adler32": checksum, "guid": record.guid, "se": link.element}


def _pool(links: Sequence[Link]) -> str:
    files = []
    for link in links:
        place = quoteattr(link.path or link.urls[0])
        pfn = f'<pfn filetype="ROOT_All" name={place} se={quoteattr(link.element)}/>'
        logical = f"<lfn name={quoteattr(link.record.lfn)}/>"
        files.append(
            f"  <File ID={quoteattr(link.record.guid)}>\n    <physical>{pfn}</physical>\n"
            f"    <logical>{logical}</logical>\n  </File>\n"
        )
    return f"{_POOL_HEAD}<POOLFILECATALOG>\n{''.join(files)}</POOLFILECATALOG>\n"
