"""`--dry-run`: what the pilot would come to, without leaving a trace."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pilot import cfg
from pilot.agent import launch
from pilot.errors import ENDED
from pilot.log import Log, visible
from pilot.node.batch_slot import BatchSlot
from pilot.node.worker_node import WorkerNode
from pilot.settings import Loaded
from pilot.steps import order
from pilot.steps.offer import agent_options
from pilot.steps.state import AGENT, Pilot, user_options
from pilot.wms.remote_log import RemoteLog

# these tell somebody or start something
LEFT_OUT = ("RegisterPilot", "LaunchAgent", "MultiLaunchAgent", "NagiosProbes")


def show(loaded: Loaded, vo: str, slot: BatchSlot, node: WorkerNode, environ: Mapping[str, str], work_dir: Path) -> int:
    """Run the commands that only look; print pilot.cfg and the agent's command line. Nothing is written."""
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
    for step in order.chosen(pilot):
        if step.name in LEFT_OUT or step.is_foreign:
            log.info("command.left_out", name=step.name)
        else:
            pilot = step.run(pilot)
    pilot = pilot.having(AGENT, **agent_options(pilot))
    command = launch.agent_command(pilot.settings, work_dir / "pilot.cfg", work_dir)
    print(cfg.render(cfg.nest({**pilot.options, **dict(user_options(pilot.settings))})), end="")
    print(visible(f"# would start: {' '.join(command)}"), flush=True)
    return ENDED
