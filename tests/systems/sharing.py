"""Tasks share a file that a web server shows: a real CE, or its nodes, fetch it; it travels with none of them."""

import functools
import http.server
import json
import shutil
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agents.local_wms.authority import open_authority
from tests.systems.real_system import PYTHON, RealSystem
from tests.unit.dips_server import server_context

SIZE_BYTES = 3_000_000
_TASKS = """\
import json, pathlib, sys, time, uuid
from ce_backends.base import TaskSpec
from ce_backends.registry import create
folder = pathlib.Path(sys.argv[3])
ce = create(sys.argv[1], json.loads(sys.argv[2]), folder / f"ce-{uuid.uuid4().hex}")
script = "stat -c %s shared.bin; sha256sum < shared.bin"
file = folder / "shared.bin"
tasks = [TaskSpec(stamp=uuid.uuid4().hex, script=script, shared=[file]) for _ in range(int(sys.argv[4]))]
answers = ce.submit(tasks)
ids = [answers[task.stamp].task_id for task in tasks]
sizes = [path.stat().st_size for path in folder.rglob("task.tar")]
if sys.argv[5]:
    shown = pathlib.Path(sys.argv[5])
    [path.write_bytes(b"something else") for path in shown.iterdir()]
give_up = time.monotonic() + 300
while not all(status.state.is_final for status in ce.poll(ids).values()):
    assert time.monotonic() < give_up, f"not ended in 300 s: {ce.poll(ids)}"
    time.sleep(0.2)
states = [status.state for status in ce.poll(ids).values()]
said = []
for task_id in ids:
    ce.fetch(task_id, folder / "into" / task_id)
    said.append("".join((folder / "into" / task_id / name).read_text() for name in ("stdout", "stderr")))
ce.clean(ids)
print(json.dumps({"sizes": sizes, "states": states, "said": said}))
"""


@dataclass(frozen=True)
class Shown:
    """What a web server shows.

    Attributes:
        folder: of it.
        url: of it.
        authorities: certificates of who has signed the server's.
        asked: how often each file was asked for, by method and name.
    """

    folder: Path
    url: str
    authorities: Path
    asked: Counter[tuple[str, str]]

    @property
    def authority(self) -> str:
        """Return the certificate of who has signed the server's, as PEM."""
        return next(self.authorities.glob("*.0")).read_text(encoding="ascii")

    @property
    def options(self) -> dict[str, object]:
        """Return the options of a CE that uses it."""
        return {"FilesDir": str(self.folder), "FilesURL": self.url}


class _Handler(http.server.SimpleHTTPRequestHandler):
    asked: Counter[tuple[str, str]]
    protocol_version = "HTTP/1.1"

    def translate_path(self, path: str) -> str:
        """A-REX asks for a whole URL, as HTTP/1.1 has it."""
        return super().translate_path(urlsplit(path).path)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        self.asked[self.command, self.path.rpartition("/")[2]] += 1

    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002 - its name


@contextmanager
def web_server(folder: Path, host: str = "localhost") -> Iterator[Shown]:
    """Show a new folder in this one by https, to whoever calls this machine's loopback interface so."""
    authority = open_authority(folder / "authority", lambda: datetime.now(UTC))
    shown = folder / "shown"
    shown.mkdir()
    handler = type("Handler", (_Handler,), {"asked": Counter()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(shown)))
    context: ssl.SSLContext = server_context(authority, host, asks_for_proxy=False)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Shown(shown, f"https://{host}:{server.server_port}", authority.certificates, handler.asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def shown_to(system: RealSystem) -> Iterator[Shown]:
    """Show a folder of the unprivileged user, with a certificate whose authority the system trusts."""
    folder = Path(tempfile.mkdtemp(dir=system.home))
    folder.chmod(0o755)
    with web_server(folder) as shown:
        shutil.copytree(shown.authorities, system.folder / "certificates", dirs_exist_ok=True)
        system.own(shown.folder)
        yield shown


@dataclass(frozen=True)
class Sharing:
    """What came of tasks that share a file.

    Attributes:
        archives_bytes: sizes of the archives that went with them.
        states: in which they ended.
        said: what each wrote: the size of the file, and its SHA-256.
    """

    archives_bytes: list[int]
    states: list[str]
    said: list[str]


def shared(
    system: RealSystem, ce_type: str, options: Mapping[str, object], number: int, *, spoiled: Path | None = None
) -> Sharing:
    """Run some tasks as the unprivileged user; `spoiled` is a folder whose files are changed after the submission."""
    folder = system.home / f"sharing-{ce_type}-{number}-{spoiled is not None}"
    folder.mkdir()
    (folder / "shared.bin").write_bytes(bytes(range(250)) * (SIZE_BYTES // 250))
    system.own(folder)
    argv = [PYTHON, "-c", _TASKS, ce_type, json.dumps(options), str(folder), str(number), str(spoiled or "")]
    done = system.run(argv)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Sharing(told["sizes"], told["states"], told["said"])
