"""Pilots that die at once on a real HTCondor and a real ARC, for an hour: how many our SiteDirector sends."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bench.ces_scene import Scene, bundle, name_of, some_ces
from bench.report import Chapter, Finding
from tests.systems.real_system import bring_up
from tests.systems.user_director import WAYS

COLUMNS = ("CE", "minutes", "pilots", "of them ended")
JOBS, MOST, LEAST = 20, 40, 21  # the law's bound for an hour; and more than what is sent before anybody can know
WORD = "--no-such-option"  # of the pilot's command line: it ends before it begins


def chapter(folder: Path, *, quick: bool) -> Chapter:
    """Have jobs wait before both at the same time; the systems are brought up for it."""
    minutes = 3 if quick else 60
    bundle(folder)
    rows: list[list[str]] = []
    findings: list[Finding] = []
    with ExitStack() as opened:
        scenes: dict[str, Scene] = {}
        for way in WAYS:
            system = bring_up(way.system, {})
            opened.callback(system.down)
            told: dict[str, dict[str, object]] = {"dies.ce": {"ExtraPilotOptions": WORD}}
            scenes[name_of(way, system)] = opened.enter_context(some_ces(way, system, folder, told))
        for scene in scenes.values():
            scene.submit(JOBS)
        ends, began = time.monotonic() + 60 * minutes, time.monotonic()
        while (left_s := ends - time.monotonic()) > 0:
            time.sleep(min(left_s, 60.0))
            counts = ", ".join(f"{name}: {len(scene.pilots())}" for name, scene in scenes.items())
            print(
                f"{(time.monotonic() - began) / 60:.0f} of {minutes} minutes · {counts}",
                file=sys.stderr,
                flush=True,
            )
        for name, scene in scenes.items():
            pilots = scene.pilots()
            ended = [pilot for pilot in pilots if pilot["ended_s"]]
            if not ended:
                raise RuntimeError(f"{name}: the control: pilots were to die: {pilots}")
            rows.append([name, f"{minutes}", str(len(pilots)), str(len(ended))])
            findings.append(
                Finding(
                    what=f"{name}: pilots in {minutes} minutes",
                    measured=str(len(pilots)),
                    target=f"{LEAST} to {MOST}",
                    is_met=LEAST <= len(pilots) <= MOST,
                )
            )
    return Chapter(
        title=f"Pilots that die at once: gridpilot before {' and '.join(scenes)}, with the local WMS",
        how=(
            f"{JOBS} jobs wait, and an option of the pilots ({WORD}) is one that they do not know. By the law they are "
            f"{MOST} in an hour at most, and more than the {JOBS} that are sent before anybody can know."
        ),
        columns=COLUMNS,
        rows=rows,
        findings=findings,
    )
