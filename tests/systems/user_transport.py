"""The unprivileged user's commands, run by tests that are root; and faults in front of a batch system's commands."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ce_backends.batch.transport import Done, Local
from tests.systems.real_system import USER

# One stands in front of each command. It notes the call; then it does what the file NAME.fault.sh says, as often as
# the number in NAME.fault, and gives way to the real command afterwards.
_SHIM = """\
#!/bin/sh
here={folder}
name={name}
echo "$name $*" >> "$here/calls"
if [ -s "$here/$name.fault" ]; then
    read -r left < "$here/$name.fault"
    if [ "$left" -gt 0 ]; then
        echo $((left - 1)) > "$here/$name.new" && mv "$here/$name.new" "$here/$name.fault"
        real={real}
        . "$here/$name.fault.sh"
    fi
fi
exec {real} "$@"
"""


class AsUser(Local):
    """This machine, as the unprivileged user.

    Args:
        env: all variables of its commands.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._prefix = ["/usr/sbin/runuser", "-u", USER, "--", "/usr/bin/env", "-i", "-C", "/"]
        self._prefix += [f"{name}={value}" for name, value in env.items()]

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        """See Transport."""
        return super().run([*self._prefix, *argv], timeout_s=timeout_s, stdin=stdin, into=into)

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        """See Transport."""
        super().put(source, target, timeout_s=timeout_s)
        shutil.chown(target, USER)


class Shims:
    """Faulty commands in front of real ones.

    Args:
        folder: for them; made when missing.
        commands: their names.
        path: where the real ones are found.
    """

    def __init__(self, folder: Path, commands: Sequence[str], path: str) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "calls").touch()
        for name in commands:
            real = shutil.which(name, path=path)
            shim = folder / name
            shim.write_text(_SHIM.format(folder=folder, name=name, real=real), encoding="utf-8")
            shim.chmod(0o755)
        for path_ in (folder, folder / "calls"):
            shutil.chown(path_, USER)

    def break_(self, name: str, script: str, times: int = 1) -> None:
        """Let a command do this, in POSIX sh, instead of its work; `"$real" "$@"` is its work."""
        self._write(f"{name}.fault.sh", script)
        self._write(f"{name}.fault", f"{times}\n")

    def mend(self, name: str) -> None:
        """Let a command work again."""
        self._write(f"{name}.fault", "0\n")

    def is_spent(self, name: str) -> bool:
        """Tell whether a fault was met as often as was wanted."""
        return (self._folder / f"{name}.fault").read_text(encoding="utf-8").startswith("0")

    def calls(self, name: str) -> int:
        """Return how often a command was called."""
        lines = (self._folder / "calls").read_text(encoding="utf-8").splitlines()
        return sum(line.partition(" ")[0] == name for line in lines)

    def _write(self, name: str, text: str) -> None:
        new = self._folder / f"{name}.test"
        new.write_text(text, encoding="utf-8")
        shutil.chown(new, USER)
        new.replace(self._folder / name)
