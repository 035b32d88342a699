"""A command as a job: a script that becomes the command, and the JDL for it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from agents.local_wms.home import LocalWmsError
from agents.local_wms.jdl import JdlError, parse, texts

SCRIPT = "command.sh"
STREAMS = ("std.out", "std.err")
_NAMES = ("StdOutput", "StdError")
_QUOTED = '"\\'


def written(folder: Path, command: Sequence[str], inputs: Sequence[Path], outputs: Sequence[str]) -> Path:
    """Write script and JDL into a new folder; return the JDL.

    Args:
        folder: to be made.
        command: the words, exactly as they are to be; the first, if it is a file here, is meant as that file.
        inputs: files that go with it.
        outputs: names of files that it writes and that shall come back.

    Raises:
        LocalWmsError: an input is not there, or a name cannot be written in JDL.
    """
    for path in inputs:
        if not path.is_file():
            raise LocalWmsError(f"--input {path}: there is no such file")
    folder.mkdir()
    program = Path(command[0])
    first = str(program.absolute()) if "/" in command[0] and program.exists() else command[0]
    words = shlex.join([first, *command[1:]])
    (folder / SCRIPT).write_text(f"#!/bin/sh\nexec {words}\n", encoding="utf-8", errors="surrogateescape")
    (folder / SCRIPT).chmod(0o700)
    sandbox = [SCRIPT, *(str(path.absolute()) for path in inputs)]
    lines = [
        f"JobName = {_quoted(program.name[:60])};",
        f'Executable = "{SCRIPT}";',
        *(f"{name} = {_quoted(file)};" for name, file in zip(_NAMES, STREAMS, strict=True)),
        f"InputSandbox = {_listed(sandbox)};",
        f"OutputSandbox = {_listed([*STREAMS, *outputs])};",
    ]
    jdl = folder / "command.jdl"
    jdl.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return jdl


def streams(jdl: Path) -> tuple[str, ...]:
    """Return the names of the files that take what a job prints; "" for one that its JDL does not name."""
    try:
        job = parse(jdl.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, JdlError) as error:
        raise LocalWmsError(f"{jdl}: {error}") from error
    return tuple(next(iter(texts(job.get(name))), "") for name in _NAMES)


def _listed(names: Sequence[str]) -> str:
    return "{" + ", ".join(map(_quoted, names)) + "}"


def _quoted(name: str) -> str:
    if not name.isprintable():
        raise LocalWmsError(f"{name!r}: a name with characters that cannot be printed cannot go into a JDL")
    return '"' + "".join(f"\\{letter}" if letter in _QUOTED else letter for letter in name) + '"'
