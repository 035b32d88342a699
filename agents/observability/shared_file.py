"""Files that we leave where others may write too: in a folder of monitoring, or of a site's pages."""

import os
from pathlib import Path

from ce_backends.linux.foreign_tree import ForeignTree

PRIVATE, PUBLIC = 0o600, 0o644


def leave_file(file: Path, content: bytes, mode: int) -> None:
    """Put a file in the place of what has its name, in one step; nobody's link there is written through.

    Raises:
        OSError: it cannot be written.
    """
    with ForeignTree(Path(os.path.realpath(file.parent))) as folder:
        folder.replace(file.name, content, mode=mode)
