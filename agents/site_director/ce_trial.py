"""`site-director test`: a small task, and the quickest clauses of the contract, through the queues of a CE."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from agents.errors import ConfigurationError
from agents.site_director.queues import PilotQueue
from ce_backends.cli import trial
from ce_backends.conformance import suite
from ce_backends.errors import CEError
from ce_backends.readers import did_you_mean

_STEP_S = 300.0  # a task may wait in a queue


def test(queues: Sequence[PilotQueue], subject: str, *, as_json: bool) -> int:
    """Try the queues of a CE, or one, with the options that pilots are submitted with; tell how it went.

    Args:
        queues: those of the director.
        subject: `CE`, or `CE/QUEUE`.
        as_json: one object with all verdicts at the end, and no word before.

    Returns:
        0 for well, 1 where a CE cannot be used now, refuses the task or breaks a clause; the other queues are tried.

    Raises:
        ConfigurationError: the director has no such queue.
    """
    chosen = [queue for queue in queues if subject in (queue.ce, queue.name)]
    if not chosen:
        names = sorted({queue.ce for queue in queues} | {queue.name for queue in queues})
        raise ConfigurationError(
            f"test {subject or '(nothing)'}: expected a CE or CE/QUEUE{did_you_mean(subject, names)}"
        )
    progress = trial.Progress(is_silent=as_json)
    told = {queue.name: _tried(queue, progress) for queue in chosen}
    if as_json:
        print(json.dumps({"queues": told}, indent=1))
    return 0 if all(verdict["is_well"] for verdict in told.values()) else 1


def _tried(queue: PilotQueue, progress: trial.Progress) -> Mapping[str, object]:
    progress.say(f"{queue.name}: CE type {queue.ce_type}")
    by_name = {check.__name__: check for check in suite.CHECKS}
    try:
        with trial.place() as scratch:
            trials = trial.trials_of(queue.ce_type, queue.options, scratch, _STEP_S)
            trial.first_task(trials, progress)
            results = trial.verdicts(trials, [by_name[name] for name in suite.QUICK], progress)
    except CEError as error:
        progress.say(f"{queue.name}: {error}")
        return {"is_well": False, "trouble": str(error), "results": []}
    is_well = all(result.passed for result in results)
    return {"is_well": is_well, "trouble": "", "results": [asdict(result) for result in results]}
