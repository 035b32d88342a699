"""`make bench-transfers`: 1 GB up and down by our own code and by `curl` or `xrdcp`, in turns, on real storage.

Everything runs in a network namespace of its own, whose loopback is the link: once shaped to 1 Gbit/s by the kernel's
token bucket, once as quick as the machine is. Each round has all sides, one after the other, and the ratio of two is
what counts: whatever else the machine does meets all. Each program runs alone, and so that a checksum is compared, too.
Writes docs/transfers.md. Needs root, and that `tests/clusters/storage/up.sh` has once installed what it needs.
`python -m bench.transfers [MEGABYTES [ROUNDS]]`
"""

import os
import resource
import statistics
import subprocess
import sys
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from agents.credentials.identity import Identity
from agents.data import checksum, tools
from agents.data.by_command import ByCommand
from agents.data.over_https import OverHttps
from agents.data.way import UNWATCHED, Content, Way
from bench import machine
from tests.system import storage as storage_scripts
from tests.system.data_scene import mounted
from tests.system.dirac_stack import ROOT
from tests.system.storage import Storage

PAGE = ROOT / "docs" / "transfers.md"
ROUNDS = 5
FEW_MB = 100
MOST_TIMES = 1.1
FOLDER = f"bench-{uuid.uuid4().hex[:8]}"
SERVERS = {"near https": "XRootD, https", "webdav": "Apache, https", "near root": "XRootD, root://"}
LINKS = {"1 Gbit/s": "1gbit", "The bare loopback": ""}
INSIDE = "GRIDPILOT_BENCH_INSIDE"
ABOUT = {
    "1 Gbit/s": [
        "A worker node's link: the loopback with a token bucket (`tc tbf`). It has a rate, and no latency, which this",
        "kernel cannot give it.",
    ],
    "The bare loopback": [
        "Quicker than any link that one file gets to itself; servers and clients share the processors, so whatever a",
        "checksum costs is shown at its worst.",
    ],
}
Act = Callable[[], object]
SUMMING = (
    "import sys, zlib\n"
    "summed = 1\n"
    "with open(sys.argv[1], 'wb') as file:\n"
    "    while piece := sys.stdin.buffer.read1(1 << 20):\n"
    "        summed = zlib.adler32(piece, summed)\n"
    "        file.write(piece)\n"
    "sys.exit(summed != int(sys.argv[2]))\n"
)
"""What stands behind a pipe of `curl`: writes a file, and compares its Adler32."""


@dataclass(slots=True)
class Spent:
    """What one side took, round by round: seconds, and CPU seconds of the client's processes."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def cell(self) -> str:
        return f"{statistics.median(self.seconds):.2f} s ({statistics.median(self.cpu_s):.2f})"


@dataclass(slots=True)
class Row:
    """One kind of transfer: ours, the other program alone, and the other program with a checksum, if it can be had."""

    what: str
    ours: Spent = field(default_factory=Spent)
    alone: Spent = field(default_factory=Spent)
    compared: Spent = field(default_factory=Spent)

    def cells(self) -> str:
        return f"| {self.what} | {self.ours.cell()} | {self._next_to(self.alone)} | {self._next_to(self.compared)} |"

    def _next_to(self, other: Spent) -> str:
        if not other.seconds:
            return "none | "
        ratios = [mine / theirs for mine, theirs in zip(self.ours.seconds, other.seconds, strict=True)]
        times = statistics.median(ratios)
        verdict = "" if times <= MOST_TIMES else " missed"
        return f"{other.cell()} | {times:.2f}{verdict}"


class Bench:
    """One file, the servers, and both sides.

    Args:
        storage: runs.
        source: the file.
        content: what it holds.
    """

    def __init__(self, storage: Storage, source: Path, content: Content) -> None:
        self._storage, self._source, self._content = storage, source, content
        self._into = source.with_name("into")
        self._environ = os.environ | storage.endpoint["client_env"] | {"X509_USER_PROXY": storage.proxy("user")}
        owner = Identity(certificate=Path(storage.proxy("user")), ca=Path(storage.endpoint["ca_dir"]))
        self._ways: dict[str, Way] = {"near https": OverHttps(owner), "webdav": OverHttps(owner)}
        if tool := tools.find("root"):
            self._ways["near root"] = ByCommand(owner, tool)

    def measured(self, rounds: int) -> list[Row]:
        """Measure every server, up and down."""
        rows: list[Row] = []
        for server in self._ways:
            up, down = (Row(f"{SERVERS[server]}, {way}") for way in ("up", "down"))
            for number in range(rounds):
                self._round(server, up, down, number)
            rows += [up, down]
        return rows

    def peaks_mb(self, server: str) -> tuple[float, float]:
        """The most memory of a process that moves the file up and down by our code, and of its children."""
        url = self._url(server)

        def act() -> None:
            self._ways[server].put(self._source, url, self._content, UNWATCHED)
            self._into.unlink(missing_ok=True)
            self._ways[server].get(url, self._into, self._content, UNWATCHED)

        reading, writing = os.pipe()
        if not (pid := os.fork()):
            with suppress(Exception):
                act()
                os.write(writing, f"{most_kb(resource.RUSAGE_SELF)} {most_kb(resource.RUSAGE_CHILDREN)}".encode())
            os._exit(0)
        os.close(writing)
        os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as pipe:
            words = pipe.read().split()
        if len(words) != 2:
            raise SystemExit(f"{server}: the transfer has failed")
        self._forget(server, url)
        return int(words[0]) / 1000, int(words[1]) / 1000

    def _round(self, server: str, up: Row, down: Row, number: int) -> None:
        """All sides, another one first in each round."""
        way, mine, theirs, third = self._ways[server], *(self._url(server) for _ in range(3))
        puts: list[tuple[Spent, Act]] = [
            (up.ours, partial(way.put, self._source, mine, self._content, UNWATCHED)),
            (up.alone, partial(self._run, self._program(server, theirs, is_put=True))),
        ]
        gets: list[tuple[Spent, Act]] = [
            (down.ours, partial(way.get, mine, self._into, self._content, UNWATCHED)),
            (down.alone, partial(self._run, self._program(server, theirs, is_put=False))),
            (down.compared, partial(self._compared_get, server, theirs)),
        ]
        if server != "webdav":  # which tells no checksums
            puts.append((up.compared, partial(self._compared_put, server, third)))
        for sides in (puts, gets):
            for at in range(len(sides)):
                spent, act = sides[(at + number) % len(sides)]
                self._into.unlink(missing_ok=True)
                measure(spent, act)
        self._forget(server, mine, theirs, third)

    def _program(self, server: str, url: str, *, is_put: bool) -> list[str]:
        """What copies one file with nothing of ours."""
        if "root" in server:
            return ["xrdcp", "-s", "-f", *([str(self._source), url] if is_put else [url, str(self._into)])]
        return [*self._curl(), *(["-T", str(self._source)] if is_put else ["-o", str(self._into)]), url]

    def _compared_put(self, server: str, url: str) -> None:
        """The same, and what is at the server then is compared."""
        argv = self._program(server, url, is_put=True)
        if "root" in server:
            self._run([*argv[:-2], *self._cksum(), *argv[-2:]])
            return
        self._run(argv)
        asked = [*self._curl(), "-I", "-H", "Want-Digest: adler32", url]
        said = subprocess.run(asked, check=True, env=self._environ, capture_output=True, text=True, timeout=600)
        told = next(line for line in said.stdout.lower().splitlines() if line.startswith("digest:"))
        assert checksum.number_of(told.partition("adler32=")[2]) == self._content.adler32, told

    def _compared_get(self, server: str, url: str) -> None:
        """The same, and what has come is compared."""
        if "root" in server:
            argv = self._program(server, url, is_put=False)
            self._run([*argv[:-2], *self._cksum(), *argv[-2:]])
            return
        summing = [sys.executable, "-I", "-c", SUMMING, str(self._into), str(self._content.adler32)]
        with subprocess.Popen([*self._curl(), url], env=self._environ, stdout=subprocess.PIPE) as curl:
            subprocess.run(summing, check=True, stdin=curl.stdout, timeout=600)
        assert curl.returncode == 0, "curl has failed"

    def _cksum(self) -> list[str]:
        return ["--cksum", f"adler32:{checksum.text_of(self._content.adler32 or 0)}"]

    def _curl(self) -> list[str]:
        tls = ["--capath", self._storage.endpoint["ca_dir"], "--cert", self._storage.proxy("user"), "--http1.1"]
        return ["curl", "-sf", "--noproxy", "*", *tls]

    def _run(self, argv: Sequence[str]) -> None:
        subprocess.run(argv, check=True, env=self._environ, stdout=subprocess.DEVNULL, timeout=600)

    def _url(self, server: str) -> str:
        return self._storage.url(server, f"{FOLDER}/{uuid.uuid4().hex}")

    def _forget(self, server: str, *urls: str) -> None:
        for url in urls:
            (self._storage.path(server.split(maxsplit=1)[0], FOLDER) / url.rpartition("/")[2]).unlink(missing_ok=True)


def measure(spent: Spent, act: Act) -> None:
    """Note how long something takes, and how many CPU seconds of this process and its children."""
    begun_s, cpu_s = time.monotonic(), _cpu_s()
    act()
    spent.seconds.append(time.monotonic() - begun_s)
    spent.cpu_s.append(_cpu_s() - cpu_s)


def _cpu_s() -> float:
    used = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


@contextmanager
def link(rate: str) -> Iterator[None]:
    """The loopback of this namespace with a rate, for as long as the block takes."""
    if not rate:
        yield
        return
    bucket = ["root", "tbf", "rate", rate, "burst", "1mb", "latency", "20ms"]
    subprocess.run(["tc", "qdisc", "add", "dev", "lo", *bucket], check=True)
    try:
        yield
    finally:
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], check=True)


def most_kb(whose: int) -> int:
    """The most memory that this process, or a child of it, has taken."""
    return resource.getrusage(whose).ru_maxrss


def laid(path: Path, megabytes: int) -> Content:
    """Write a file of random bytes."""
    summed = 1
    with path.open("wb") as file:
        for _ in range(megabytes):
            piece = os.urandom(10**6)
            summed = zlib.adler32(piece, summed)
            file.write(piece)
    return Content(size_bytes=megabytes * 10**6, adler32=summed)


def page(tables: Mapping[str, Sequence[Row]], peaks: Sequence[str], megabytes: int, rounds: int) -> str:
    """What docs/transfers.md says."""
    lines = [
        "# 1 GB next to `curl` and `xrdcp`",
        "",
        "Written by `make bench-transfers`. A file of random bytes goes up and down by our code and by the programs",
        f"that people would use, in turns: {megabytes} MB, {rounds} rounds; medians, also of the rounds' ratios, which",
        f"may be {MOST_TIMES:.2f} at most. In brackets CPU seconds of the client. Servers and clients are one machine,",
        "and files lie in its memory.",
        "",
        "Ours compares a checksum each time; `curl` and `xrdcp` by themselves do not. So each is tried twice: alone,",
        "and *compared*: by `xrdcp --cksum adler32:VALUE`; by `curl` through a pipe to a program that sums up and",
        "writes; up by `curl`, and then `HEAD` with `Want-Digest`. To compare what was uploaded the server reads the",
        "whole file once more when it has come, whoever asks it. Apache tells no checksums.",
        "",
        f"{machine.in_words()}; load at the end: {machine.load()}.",
    ]
    for name, rows in tables.items():
        lines += ["", f"## {name}", "", *ABOUT[name], ""]
        lines += ["| | ours | alone | times | compared | times |", "|---|--:|--:|--:|--:|--:|"]
        lines += [row.cells() for row in rows]
    lines += [
        "",
        "## Memory",
        "",
        "The most of a process that moves a file up and down, and of the program that it runs:",
    ]
    lines += ["", f"| | {FEW_MB} MB | {megabytes} MB |", "|---|--:|--:|", *peaks, ""]
    return "\n".join(lines)


def measured(megabytes: int, rounds: int) -> str:
    """Start storage, measure on both links, and return the page."""
    storage_scripts.script("up.sh")
    try:
        storage = Storage()
        os.environ.update(storage.endpoint["client_env"])
        with ExitStack() as opened:
            folder = Path(opened.enter_context(TemporaryDirectory(dir=storage_scripts.home())), "here")
            opened.enter_context(mounted(folder, "size=4g", "root"))
            for server, owner in (("near", "xrootd"), ("webdav", "www-data")):
                there = storage.path(server, FOLDER)
                opened.callback(there.rmdir)
                opened.enter_context(mounted(there, "size=5g", owner))
            few, many = (
                Bench(storage, path, laid(path, size))
                for path, size in ((folder / "few", FEW_MB), (folder / "many", megabytes))
            )
            peaks = []
            for server, name in SERVERS.items():
                cells = [" + ".join(f"{mb:.0f} MB" for mb in bench.peaks_mb(server) if mb) for bench in (few, many)]
                peaks.append(f"| {name} | {' | '.join(cells)} |")
            tables = {}
            for name, rate in LINKS.items():
                with link(rate):
                    tables[name] = many.measured(rounds)
            return page(tables, peaks, megabytes, rounds)
    finally:
        storage_scripts.script("down.sh")


def main() -> int:
    """Measure in a network of our own, and write the page."""
    if INSIDE not in os.environ:
        with TemporaryDirectory(dir="/var/tmp", prefix="bench-transfers-") as folder:
            Path(folder).chmod(0o711)  # the servers are other users
            environ = os.environ | {INSIDE: "1", "GRIDPILOT_CLUSTERS": f"{folder}/clusters"}
            argv = ["unshare", "--net", sys.executable, "-m", "bench.transfers", *sys.argv[1:]]
            return subprocess.run(argv, check=False, env=environ).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    text = measured(megabytes, rounds)
    print(text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
