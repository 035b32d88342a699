"""`make bench-scale`: what half a million agents ask of the servers, ours and DIRAC's; writes docs/scale.md.

Simulated with the agents' timing, from what `make bench-diracx` has counted; and a wave of pilots on real servers.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from agents.credentials.identity import Identity
from agents.local_wms.testing import running
from agents.wms.published import Published
from agents.wms.server_clock import ServerClock
from agents.wms.service import Service
from agents.wms.transports import speaking_as
from bench import machine
from bench.report import Chapter, as_markdown, as_text
from bench.scale import simulation
from bench.scale.lives import DAY_S, Diracs, Ours
from bench.scale.wave import Seen, Server, Wave
from ce_backends.cfg import Section
from tests.joined import joined_stack
from tests.joined.joined_stack import Joined
from tests.system.dirac_stack import ROOT

PAGE, PER_JOB = ROOT / "docs" / "scale.md", Path(__file__).with_name("per_job.json")
TEXT = Path(__file__).with_name("scale.md").read_text(encoding="utf-8")
LENGTHS = (("a minute", 60.0), ("an hour", 3600.0), ("a day", DAY_S))
NAMES = {"Server": "Configuration", "DataStore": "Accounting", "DiracX": "DiracX (REST)"}
BIN_S = 20.0
Both = tuple[Ours, Diracs]


def both() -> Both:
    """Return the two agents with what was counted of them."""
    counted = json.loads(PER_JOB.read_text(encoding="utf-8"))
    return Ours("gridpilot", counted["gridpilot"]), Diracs("DIRAC", counted["dirac"])


def rates(agents: Both) -> Chapter:
    """Return requests per second by service, steady and at ramp-up."""
    rows = []
    for words, job_s in LENGTHS:
        for when, of in (("steady", simulation.steady), ("ramp-up", simulation.ramp)):
            found = [of(agent, job_s) for agent in agents]
            services = sorted({*found[0], *found[1]} - {"S3"}, key=lambda each: -found[1].get(each, 0.0))
            rows += [[f"{words}, {when}", NAMES.get(each, each), *_pair(found, each)] for each in services]
            sums = [sum(rate for service, rate in each.items() if service != "S3") for each in found]
            rows.append([f"{words}, {when}", "**all**", *(f"**{each:,.0f}**" for each in sums), _ratio(*sums)])
    return Chapter(
        title="500 000 running jobs: requests per second",
        how=(
            "One processor each, a slot of a day, always a next job. Steady: the mean over the slot's day, its start "
            f"included, of {simulation.SAMPLE} simulated agents. Ramp-up: the busiest five minutes while 500 000 "
            "pilots come within an hour."
        ),
        columns=("jobs of", "service", "gridpilot /s", "DIRAC /s", "ratio"),
        rows=rows,
    )


def _pair(found: Sequence[dict[str, float]], service: str) -> list[str]:
    ours, theirs = (each.get(service, 0.0) for each in found)
    return [f"{ours:,.0f}", f"{theirs:,.0f}", _ratio(ours, theirs)]


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else "–"


def herds(agents: Both) -> Chapter:
    """Return what happens when many do the same at one moment."""
    rows = []
    for words, within_s in (("come within a minute", 60.0), ("come in the same second", 1.0)):
        for agent in agents:
            moments = simulation.idle(agent, 1000, within_s)
            bins = simulation.per_second((each for each in moments if each > within_s), 1.0)
            lived = f"{len(moments) / 1000:.0f} requests each in {moments[-1] / 60:.0f} min, then it ends"
            shown = f"{max(bins.values())} requests in the busiest second after the first ones; {lived}"
            rows.append([f"1000 pilots without a job {words}", agent.name, shown])
    back = simulation.after_an_outage(1800.0)
    shown = f"half within {simulation.percentile(back, 0.5):.0f} s, all within {back[-1]:.0f} s"
    rows.append(["reports wait for half an hour, the WMS is back", "gridpilot", shown])
    rows.append(["the same", "DIRAC", "no such wait: each wrapper's call fails, and goes on to a failover request"])
    told = simulation.after_retry_after(30.0)
    rows.append(["1000 were told `Retry-After: 30`", "gridpilot", f"back after {told[0]:.0f} to {told[-1]:.0f} s"])
    rows.append(["the same", "DIRAC", "does not read it (https services of 9.1)"])
    return Chapter(
        title="Herds", how="Simulated with the same functions.", columns=("what happens", "agent", "then"), rows=rows
    )


def waves(agents: Both, lasts_s: float, real: Server | None) -> Chapter:
    """Let waves arrive at local WMS, and at the Matcher of a real DIRAC where there is one."""
    planned: dict[str, Wave] = {}
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as folder, ExitStack() as running_wms:
        for agent in agents:
            endpoint = running_wms.enter_context(running(Path(folder, agent.name)))
            server = Server(
                matcher=endpoint.configuration.replace("Configuration/Server", "WorkloadManagement/TornadoMatcher"),
                proxy=Path(endpoint.pilot_proxy),
                ca=Path(endpoint.ca_dir),
                vo=endpoint.vo,
                offer=_offer(endpoint.site, endpoint.ce, endpoint.queue, "9.1.22"),
            )
            planned[f"{agent.name}, 1000 on the local WMS"] = Wave(server, agent, 1000, 60.0)
            if real:
                planned[f"{agent.name}, 100 on DIRAC's Matcher"] = Wave(real, agent, 100, 60.0)
        with ThreadPoolExecutor(len(planned)) as at_once:
            seen = list(at_once.map(lambda wave: wave.run(lasts_s), planned.values()))
    bins = [simulation.per_second(each.moments, BIN_S) for each in seen]
    rows = [
        [f"{number * BIN_S:.0f}–{(number + 1) * BIN_S:.0f} s", *(f"{each[number] / BIN_S:.1f}" for each in bins)]
        for number in range(int(lasts_s / BIN_S))
    ]
    rows.append(["answer, median", *(f"{_median_ms(each):.0f} ms" for each in seen)])
    rows.append(["requests (failed)", *(f"{len(each.moments)} ({each.failed})" for each in seen)])
    return Chapter(
        title="A wave of pilots on real servers: requests per second",
        how=(
            "Pilots come within a minute; there is no job. Each asks the Matcher over TLS with connections of its own "
            "when its agent would: ours keeps its connection, DIRAC's makes one for each request. The local WMS over "
            "https, DIRAC 9.1.22's Matcher over dips; all waves at once. On a busy machine answers' times say little."
        ),
        columns=("after", *planned),
        rows=rows,
    )


@contextmanager
def dirac() -> Iterator[Server]:
    """Have a real DIRAC, without jobs."""
    was_up = joined_stack.is_up()
    joined_stack.script("up.sh")
    try:
        stack = Joined()
        stack.publish()
        stack.sweep()
        yield _real(stack)
    finally:
        if not was_up:
            joined_stack.script("down.sh")


def _real(stack: Joined) -> Server:
    told = stack.endpoint
    identity = Identity(certificate=Path(told["pilot_proxy"]), ca=Path(told["ca_dir"]))
    transport = speaking_as(identity, ServerClock(), vo=told["vo"], setup="None")
    published = Published(Service("Configuration/Server", [told["configuration"]], transport), Section())
    published.load()
    return Server(
        matcher=published.urls("WorkloadManagement/Matcher")[0],
        proxy=Path(told["pilot_proxy"]),
        ca=Path(told["ca_dir"]),
        vo=told["vo"],
        offer=_offer(told["site"], told["ce"], told["queue"], told["dirac_version"]),
    )


def _offer(site: str, ce: str, queue: str, version: str) -> dict[str, object]:
    named = {"Site": site, "GridCE": ce, "CEQueue": queue, "Queue": queue, "ReleaseVersion": version}
    return {**named, "LocalCE": "InProcess", "CPUTime": 800_000, "NumberOfProcessors": 1, "MaxRAM": 2048}


def _median_ms(seen: Seen) -> float:
    return simulation.percentile(sorted(seen.took_s), 0.5) * 1000


def main() -> int:
    """Simulate, try, write the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--wave", type=float, default=180.0, help="seconds that each wave is watched; 0 for none")
    parser.add_argument("--dirac", action="store_true", help="also on the Matcher of a real DIRAC")
    asked = parser.parse_args()
    load, agents = machine.load(), both()
    chapters = [rates(agents), herds(agents)]
    if asked.wave:
        with dirac() if asked.dirac else nullcontext() as real:
            chapters.append(waves(agents, asked.wave, real))
    for found in chapters:
        print(as_text(found))
    made = TEXT.format(machine=machine.in_words(), load=load, chapters="\n".join(map(as_markdown, chapters)))
    PAGE.write_text(made, encoding="utf-8")
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
