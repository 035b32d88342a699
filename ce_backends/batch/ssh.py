"""Commands on another machine, by the OpenSSH client: one connection, kept and shared by all calls.

Source: ssh(1), ssh_config(5). Host keys are checked strictly. ssh's exit code 255 means a lost connection, a refused
key, or a remote command that returned 255 or was killed, and a shell's start-up files may print what they like: so the
remote side says in a line of its own when the command begins, and with which code it ended, on both of its outputs:
they come separately, and one may be whole where the other is cut. A connection that is lost takes these lines with it:
only ssh's own words tell that there never was one.
"""

import hashlib
import os
import re
import shlex
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from ce_backends.batch.transport import Done, Local
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.untrusted.text import lines_of

# $1: a mark that nobody else prints. The lines are written before and after the command.
_FRAME = """\
mark=$1; shift
printf '\\n%s begins\\n' "$mark"
printf '\\n%s begins\\n' "$mark" >&2
"$@"
code=$?
printf '\\n%s ends\\n' "$mark"
printf '\\n%s %s\\n' "$mark" "$code" >&2
"""
# $1: where a file is to lie. What is brought lies beside it until all of it is there.
_BEGIN = 'mkdir -p -- "$(dirname -- "$1")" && : > "$1.part"'
_SIZE = 'stat -c %s -- "$1.part"'
_APPEND = 'cat >> "$1.part"'
_FINISH = """\
sum=$(sha256sum < "$1.part") || exit
[ "${sum%% *}" = "$2" ] || { : > "$1.part"; echo "it did not arrive as it was sent" >&2; exit 1; }
mv -f -- "$1.part" "$1"
"""
_ADVICE = {
    "REMOTE HOST IDENTIFICATION HAS CHANGED": (
        "its host key is not the one in known_hosts; if its administrator says that the key is new, remove the old one "
        "with ssh-keygen -R"
    ),
    "you have requested strict checking": (
        "its host key is not in known_hosts; compare the key with its administrator's and log in once by hand"
    ),
    "Permission denied": "the user or the key is not accepted there; see the options SSHUser and SSHKey",
}
_NEVER_THERE = re.compile(  # what ssh, which ends with 255, says before a connection is used
    r"Bad configuration option|Bad owner or permissions|Can't open user config file|Could not resolve hostname"
    r"|Connection (closed|reset) by \S+ port \d+|Connection timed out during banner exchange"
    r"|Host key verification failed|Permission denied \(|Too many authentication failures|Unable to negotiate with"
    r"|connect to host |kex_exchange_identification|too long for Unix domain socket|^usage: ssh",
    re.MULTILINE,
)
_LOST = 255
_DIGITS = 3  # of an exit code
_LONG = 60  # of the 107 bytes of a socket's path (unix(7)), ours and ssh's own additions need 40
_CONNECT_S = 20
_UPLOADS = 5  # attempts, each going on where the last one was cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How to get there.

    Attributes:
        host: name or address.
        user: empty for ssh's default.
        port: 0 for ssh's default.
        key: private key file, empty for ssh's default.
        jump: hosts to go through, as `ssh -J` takes them.
        options: more arguments of ssh.
    """

    host: str
    user: str = ""
    port: int = 0
    key: str = ""
    jump: str = ""
    options: Sequence[str] = field(default=())


class Ssh:
    """A machine that is reached by ssh. See Transport.

    Args:
        login: how to get there.
        command: the client.
    """

    def __init__(self, login: Login, command: str = "ssh") -> None:
        self._login = login
        self._local = Local()
        self._command = command
        self._sockets: tempfile.TemporaryDirectory[str] | None = None

    @property
    def where(self) -> str:
        """See Transport."""
        return f"{self._login.user}@{self._login.host}" if self._login.user else self._login.host

    def run(
        self, argv: Sequence[str], *, timeout_s: float, stdin: IO[bytes] | bytes = b"", into: Path | None = None
    ) -> Done:
        """See Transport."""
        mark = f"gridpilot-{uuid.uuid4().hex}"
        ssh = [*self._ssh(), "--", self._login.host, _for_any_shell(["/bin/sh", "-c", _FRAME, "sh", mark, *argv])]
        done = self._local.run(ssh, timeout_s=timeout_s, stdin=stdin, into=into)
        begins, ends = f"\n{mark} begins\n", f"\n{mark} ends\n"
        if into:
            _cut_before(into, begins.encode())
            return self._told(done, mark, is_whole=_cut_off(into, ends.encode()))
        stdout, ended, _ = done.stdout.partition(begins)[2].rpartition(ends)
        told = self._told(done, mark, is_whole=bool(ended))
        return replace(told, stdout=stdout)

    def _told(self, done: Done, mark: str, *, is_whole: bool) -> Done:
        """Return the remote command's answer but for its output, out of what ssh and the remote shell have printed.

        Raises:
            CEUnavailable: surely it was not started.
        """
        before, began, stderr = done.stderr.partition(f"\n{mark} begins\n")
        if not began and (done.exit_code == _LOST or done.exit_code is None) and not _NEVER_THERE.search(before):
            return Done(None, "", before)
        if not began:
            raise CEUnavailable(f"{self.where} cannot be reached by ssh: {_refusal(before or done.stdout)}")
        stderr, ended, code = stderr.rpartition(f"\n{mark} ")
        if not ended:
            return Done(None, "", code or before)
        number, _, after = code.partition("\n")
        is_answer = is_whole and number.isdecimal() and len(number) <= _DIGITS
        return Done(int(number) if is_answer else None, "", stderr + after)

    def _ssh(self) -> list[str]:
        login = self._login
        if self._sockets is None:  # nobody else's, and with a path that is short enough for a socket
            place = "/tmp" if len(tempfile.gettempdir()) > _LONG else None  # noqa: S108 # a folder of its own, mode 700
            self._sockets = tempfile.TemporaryDirectory(prefix="gp-ssh-", dir=place)
        argv = [self._command, "-T", "-x", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        argv += ["-o", f"ConnectTimeout={_CONNECT_S}", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]
        argv += ["-o", "ControlMaster=auto", "-o", "ControlPersist=120", "-o", f"ControlPath={self._sockets.name}/s"]
        for flag, value in (("-l", login.user), ("-i", login.key), ("-J", login.jump)):
            argv += [flag, value] if value else []
        argv += ["-p", str(login.port)] if login.port else []
        return [*argv, *login.options]

    def put(self, source: Path, target: str, *, timeout_s: float) -> None:
        """See Transport. What a cut connection has brought already is not sent again."""
        checksum, trouble = _sha256(source), self._sh(_BEGIN, target, timeout_s=timeout_s)
        for _ in range(_UPLOADS if trouble.exit_code == 0 else 0):
            trouble = self._upload(source, target, checksum, timeout_s)
            if trouble.exit_code == 0:
                return
            if _is_full(trouble.stderr):
                break
        self._sh('rm -f -- "$1.part"', target, timeout_s=timeout_s)
        raise CEUnavailable(f"{target} cannot be written on {self.where}: {trouble.sentence}")

    def _upload(self, source: Path, target: str, checksum: str, timeout_s: float) -> Done:
        """Send what is not there yet; return what has gone wrong, or that all is there."""
        there = self._sh(_SIZE, target, timeout_s=timeout_s)
        if there.exit_code != 0:
            return there
        with source.open("rb") as file:
            file.seek(int(there.stdout))
            sent = self._sh(_APPEND, target, timeout_s=timeout_s, stdin=file)
        return self._sh(_FINISH, target, checksum, timeout_s=timeout_s) if sent.exit_code == 0 else sent

    def _sh(self, script: str, *arguments: str, timeout_s: float, stdin: IO[bytes] | bytes = b"") -> Done:
        return self.run(["/bin/sh", "-c", script, "sh", *arguments], timeout_s=timeout_s, stdin=stdin)

    def close(self) -> None:
        """See Transport. Ends the shared connection."""
        if self._sockets is not None:
            with suppress(CEError):
                self._local.run([*self._ssh(), "-O", "exit", "--", self._login.host], timeout_s=5)
            self._sockets.cleanup()
            self._sockets = None


def _for_any_shell(argv: Sequence[str]) -> str:
    """Return a command line that a POSIX shell, csh and fish understand alike, for sshd gives it to the user's own."""
    line = " ".join(map(shlex.quote, argv))
    plain = "".join(f"\\0{ord(letter):03o}" if letter in "\\'!\n" else letter for letter in line)
    return f"""/bin/sh -c 'eval "$(printf %b "$0")"' '{plain}'"""


def _refusal(text: str) -> str:
    """Return ssh's last line, and what to do where that does not tell."""
    lines = [line.strip() for line in lines_of(text) if line.strip()]
    said = lines[-1] if lines else "the connection was closed"
    advice = next((advice for words, advice in _ADVICE.items() if words in text), "")
    return f"{said.removesuffix('.')}: {advice}" if advice else said


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_full(said: str) -> bool:
    return any(text in said for text in ("Disk quota exceeded", "No space left on device"))


def _cut_before(path: Path, mark: bytes) -> None:
    """Remove what a remote shell has printed before the command began; nothing is kept when it never did."""
    with path.open("rb+") as file:
        head = file.read(1 << 16)
        at = head.find(mark)
        if at < 0:
            file.truncate(0)
            return
        _shift(file, at + len(mark))


def _cut_off(path: Path, mark: bytes) -> bool:
    """Remove the mark at the end of a file; tell whether it was there. A shell that ends may print after it."""
    with path.open("rb+") as file:
        tail_at = max(0, file.seek(0, os.SEEK_END) - (1 << 16))
        file.seek(tail_at)
        at = file.read().rfind(mark)
        if at >= 0:
            file.truncate(tail_at + at)
        return at >= 0


def _shift(file: IO[bytes], by: int) -> None:
    to = 0
    while True:
        file.seek(to + by)
        block = file.read(1 << 20)
        if not block:
            break
        file.seek(to)
        file.write(block)
        to += len(block)
    os.ftruncate(file.fileno(), to)
