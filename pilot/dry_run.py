"""`--dry-run`: what the pilot would come to, without leaving a trace."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pilot import cfg
from pilot.agent import launch
from pilot.log import Log
from pilot.node.batch_slot import BatchSlot
from pilot.node.worker_node import WorkerNode
from pilot.settings import Loaded
from pilot.steps import order
from pilot.steps.offer import agent_options
from pilot.steps.state import AGENT, Pilot, user_options
from pilot.wms.remote_log import RemoteLog

# these tell somebody or start something
LEFT_OUT = ("RegisterPilot", "LaunchAgent", "MultiLaunchAgent", "NagiosProbes")


@dataclass(frozen=True)
class Plan:
    """What a pilot would do.

    Attributes:
        options: of pilot.cfg, by their paths.
        command: of the agent.
        left_out: commands that were not tried, for they tell somebody or start something.
    """

    options: Mapping[str, str]
    command: Sequence[str]
    left_out: Sequence[str]


def planned(
    loaded: Loaded, vo: str, slot: BatchSlot, node: WorkerNode, environ: Mapping[str, str], work_dir: Path
) -> Plan:
    """Run the commands that only look. Nothing is written."""
    quiet = replace(loaded, settings=replace(loaded.settings, remote_logging=False))
    log = Log((sys.stderr.write,))
    pilot = Pilot(
        loaded=quiet,
        vo=vo,
        slot=slot,
        node=node,
        environ=environ,
        work_dir=work_dir,
        log=log,
        remote_log=RemoteLog(work_dir, slot.stamp),
    )
    left_out = []
    for step in order.chosen(pilot):
        if step.name in LEFT_OUT or step.is_foreign:
            log.info("command.left_out", name=step.name)
            left_out.append(step.name)
        else:
            pilot = step.run(pilot)
    pilot = pilot.having(AGENT, **agent_options(pilot))
    command = launch.agent_command(pilot.settings, work_dir / "pilot.cfg", work_dir)
    return Plan({**pilot.options, **dict(user_options(pilot.settings))}, command, left_out)


def text(plan: Plan, *, as_json: bool) -> str:
    """Return it as pilot.cfg and a comment, or for programs."""
    if as_json:
        return json.dumps({"pilot.cfg": plan.options, "command": plan.command, "left out": plan.left_out}, indent=1)
    return f"{cfg.render(cfg.nest(plan.options))}# would start: {' '.join(plan.command)}"
