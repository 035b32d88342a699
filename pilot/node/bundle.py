"""What the bundle's starter has settled before the pilot began; see tools/bundle/start.py."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from pilot import strict_json

VARIABLE = "GRIDPILOT_BUNDLE"
PURE = "packages.zip"  # in site-packages: ours, and what of others' is nothing but Python


@dataclass(frozen=True)
class Bundle:
    """How this pilot was started.

    Attributes:
        digest: of the bundle, its first digits; "" when the pilot runs from an installation.
        python: the interpreter that was chosen.
        why: the reason.
        node_libc: the C library of the node, e.g. "glibc 2.31": the bundle's Python has one of its own.
        beside: folder of dirac-pilot.py, where a VO's own modules lie; "" without one.
        remove: folder that the pilot removes at its end, "" for none.
    """

    digest: str = ""
    python: str = ""
    why: str = ""
    node_libc: str = ""
    beside: str = ""
    remove: str = ""


def read(environ: Mapping[str, str]) -> Bundle:
    """Return what the starter said; an empty answer without one."""
    try:
        told = strict_json.read(environ.get(VARIABLE, "{}"))
        return Bundle(**{name: str(told.get(name, "")) for name in Bundle.__dataclass_fields__})
    except (ValueError, AttributeError):  # somebody else's variable
        return Bundle()


def remove(environ: Mapping[str, str]) -> None:
    """Remove what the starter unpacked. The last act: what is not imported yet cannot be imported any more."""
    folder = read(environ).remove
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
