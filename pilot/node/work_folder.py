"""Whether the work folder is good for what pilot, agent and payloads do in it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

START_S = 20.0


def cannot_start_from(folder: Path) -> str:
    """Return why programs cannot be put into a folder and started there, "" if they can; a mount may be noexec."""
    try:
        with tempfile.TemporaryDirectory(prefix=".start-", dir=folder) as inside:
            program = Path(inside, "program")
            program.write_text("#!/bin/sh\n", encoding="ascii")
            program.chmod(0o700)
            return _trouble(folder, program)
    except OSError as error:
        return f"{folder}: no program can be put there: {error.strerror}"


def _trouble(folder: Path, program: Path) -> str:
    where = f"{folder}: programs cannot be started there"
    try:
        code = subprocess.run([str(program)], stderr=subprocess.DEVNULL, timeout=START_S, check=False).returncode
    except subprocess.TimeoutExpired:
        return f"{where}: no end within {START_S:.0f} s"
    except OSError as error:
        return f"{where}: {error.strerror} (is it mounted noexec?)"
    return f"{where}: exit code {code}" if code else ""
