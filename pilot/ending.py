"""The end of a pilot: why it came, told to the log, to the list of pilots and to PilotLogging, and the exit code."""

from __future__ import annotations

import signal

from pilot.agent import launch
from pilot.agent.launch import AgentReport
from pilot.agent.supervision import PASSED_ON
from pilot.errors import ENDED, NodeUnfit, PilotError
from pilot.steps import registration, standard
from pilot.steps.state import Pilot
from pilot.wms import remote_log

LAST_WORDS_S = 5.0


def failed(pilot: Pilot, error: PilotError) -> int:
    """Say why there was no agent, or none any more; return the exit code."""
    reason = f"node unfit: {error}" if isinstance(error, NodeUnfit) else str(error)
    _last_words(pilot, "Failed", reason, error.exit_code)
    return error.exit_code


def ended(pilot: Pilot) -> int:
    """Say how the agent ended, and return the pilot's exit code."""
    exit_code = _exit_code(pilot)
    report = launch.read_report(pilot.work_dir)
    worked = report.matched or report.done or report.failed
    status = "Done" if exit_code == ENDED or worked else "Failed"
    _last_words(pilot, status, why(pilot, report), exit_code)
    return exit_code


def _exit_code(pilot: Pilot) -> int:
    end = pilot.agent_end
    if end is None:
        return ENDED
    if pilot.settings.program:  # not the agent: its codes are passed on as a shell does
        return end.exit_code if end.exit_code >= 0 else 128 - end.exit_code
    return end.pilot_exit_code


def why(pilot: Pilot, report: AgentReport) -> str:
    """Return one sentence: what was done, and why nothing more was."""
    end = pilot.agent_end
    if end is None:
        return "ran the commands that were asked for, no agent among them"
    if pilot.settings.program:
        return f"{pilot.settings.program} ended with exit code {end.exit_code}"
    if not report.reason and end.stopped_by:
        return f"stopped by {signal.Signals(end.stopped_by).name} before the agent could say anything"
    how = f"the agent ended with exit code {end.exit_code}{_restarts(end.restarts)}"
    if not report.reason:
        return f"{how}, and did not say why"
    if not report.is_counted:
        return f"{how}: {report.reason}"
    return f"{_work(report)}{_restarts(end.restarts)}; {report.reason}"


def _work(report: AgentReport) -> str:
    counts = {"done": report.done, "failed": report.failed, "handed back": report.handed_back}
    ends = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    number = f"ran {report.matched} job{'' if report.matched == 1 else 's'}" if report.matched else "ran no job"
    return f"{number} ({ends})" if ends else number


def _restarts(number: int) -> str:
    return f" since the agent's last restart ({number} restart{'' if number == 1 else 's'})" if number else ""


def _last_words(pilot: Pilot, status: str, reason: str, exit_code: int) -> None:
    """Tell the list of pilots and PilotLogging the end; each gets a few seconds, and failure changes nothing."""
    for signum in PASSED_ON:  # the end is near anyway, and bounded
        signal.signal(signum, signal.SIG_IGN)
    registration.set_status(pilot, status, reason, within_s=LAST_WORDS_S)
    if pilot.remote_log.trouble:
        pilot.log.warning("remote_log.ended", why=pilot.remote_log.trouble)
    tell = pilot.log.info if exit_code == ENDED else pilot.log.error
    tell("pilot.ended", why=reason, exit_code=exit_code)
    url = standard.logging_url(pilot)
    if url and pilot.services is not None:
        pilot.remote_log.close(exit_code, remote_log.sender(pilot.services, url, vo=pilot.vo), within_s=LAST_WORDS_S)
