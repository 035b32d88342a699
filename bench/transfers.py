"""`python -m bench.transfers [MEGABYTES]`: a file by our own code and by `curl` or `xrdcp`, in turns, on real storage.

Needs `tests/clusters/storage/up.sh`. Printed are wall time and CPU time (ours and our children's) of the best of three
rounds, and the most memory that this process has taken.
"""

import os
import resource
import subprocess
import sys
import time
import uuid
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.credentials.identity import Identity
from agents.data import tools
from agents.data.by_command import ByCommand
from agents.data.over_https import OverHttps
from agents.data.way import UNWATCHED, Content, Way
from tests.system.storage import Storage

ROUNDS = 3


def cost(act: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of something that is done once."""
    wall, cpu = time.monotonic(), sum(os.times()[:4])
    act()
    return time.monotonic() - wall, sum(os.times()[:4]) - cpu


def program(storage: Storage, server: str, path: Path, url: str, *, is_put: bool) -> list[str]:
    """What copies one file with nothing of ours."""
    if "root" in server:
        return ["xrdcp", "-s", "-f", *([str(path), url] if is_put else [url, str(path)])]
    tls = ["--capath", storage.endpoint["ca_dir"], "--cert", storage.proxy("user"), "--http1.1"]
    return ["curl", "-sf", "--noproxy", "*", *tls, *(["-T", str(path)] if is_put else ["-o", str(path)]), url]


def compare(storage: Storage, way: Way, server: str, source: Path, content: Content) -> None:
    """Both sides, up and down, in turns."""
    environment = os.environ | storage.endpoint["client_env"] | {"X509_USER_PROXY": storage.proxy("user")}
    into, rows = source.with_name("into"), dict[str, list[tuple[float, float]]]()

    def foreign(argv: list[str]) -> None:
        subprocess.run(argv, check=True, env=environment, stdout=subprocess.DEVNULL)

    for _ in range(ROUNDS):
        mine, theirs = (storage.url(server, f"bench/{uuid.uuid4().hex}") for _ in range(2))
        up = program(storage, server, source, theirs, is_put=True)
        down = program(storage, server, into, theirs, is_put=False)
        for name, act in {
            "put ours": partial(way.put, source, mine, content, UNWATCHED),
            f"put {up[0]}": partial(foreign, up),
            "get ours": partial(way.get, mine, into, content, UNWATCHED),
            f"get {up[0]}": partial(foreign, down),
        }.items():
            into.unlink(missing_ok=True)
            rows.setdefault(name, []).append(cost(act))
        for url in (mine, theirs):
            (storage.path(server.split(maxsplit=1)[0], "bench") / url.rpartition("/")[2]).unlink()
    for name, costs in rows.items():
        wall, cpu = min(costs)[0], min(cpu for _, cpu in costs)
        print(f"{server:12} {name:10} {wall:6.2f} s wall {cpu:6.2f} s CPU {content.size_bytes / wall / 1e6:7.0f} MB/s")


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    storage, summed = Storage(), 1
    os.environ.update(storage.endpoint["client_env"])
    owner = Identity(certificate=Path(storage.proxy("user")), ca=Path(storage.endpoint["ca_dir"]))
    ways: dict[str, Way] = {"near https": OverHttps(owner), "webdav": OverHttps(owner)}
    if tool := tools.find("root"):
        ways["near root"] = ByCommand(owner, tool)
    with TemporaryDirectory() as folder:
        source = Path(folder, "source")
        with source.open("wb") as file:
            for _ in range(megabytes):
                piece = os.urandom(10**6)
                summed = zlib.adler32(piece, summed)
                file.write(piece)
        for server, way in ways.items():
            compare(storage, way, server, source, Content(size_bytes=megabytes * 10**6, adler32=summed))
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000} MB")


if __name__ == "__main__":
    main()
