"""What payload tools read about their grant: `/Resources/Computing/JobLimits/<job>` in a pilot.cfg of the job's own.

DIRAC writes every job's limits into the one pilot.cfg of the node while payloads read it. Here each job gets a copy
that is written before the payload starts, and never again.
"""

from pathlib import Path

from agents.jobs.job import Grant
from agents.log import EventLog
from ce_backends.cfg import Section, render

log = EventLog("jobs")

NAME = "pilot.cfg"  # where dirac-jobexec and DIRAC's own getNumberOfJobProcessors look
_COMPUTING = "/Resources/Computing"
_SECURITY = "Security"  # tells where the pilot's credentials are
_ORIGIN = "the job's grant"


def write_payload_cfg(directory: Path, cfg: Section, job_id: int, grant: Grant, power_hs06: float) -> list[Path]:
    """Write the job's pilot.cfg into a directory; the list is empty when that cannot be done.

    Args:
        directory: of the job; made when missing.
        cfg: of the agent.
        job_id: names the section of the limits.
        grant: what the limits are.
        power_hs06: of one processor.
    """
    file = directory / NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(payload_cfg(cfg, job_id, grant, power_hs06), encoding="utf-8")
    except OSError as error:  # few payloads look at it: no reason to fail one
        log.warning("limits.not_written", job_id=job_id, file=file, cause=error.strerror)
        return []
    return [file]


def payload_cfg(cfg: Section, job_id: int, grant: Grant, power_hs06: float) -> str:
    """Return the text of a job's pilot.cfg: the site's description of itself, and the job's limits."""
    dirac = {name: node for name, node in cfg.section("/DIRAC").content.items() if name != _SECURITY}
    shown = Section(
        {
            "LocalSite": cfg.section("/LocalSite"),
            "DIRAC": Section(dirac),
            "Resources": Section({"Computing": cfg.section(_COMPUTING)}),
        }
    )
    limits = {"NumberOfProcessors": grant.processors, "MaxRAM": grant.memory_mb, "NumberOfGPUs": len(grant.gpu_ids)}
    own = Section()
    own.set("/LocalSite/CPUNormalizationFactor", f"{power_hs06:.1f}", "told or measured")
    for name, number in limits.items():
        if number:
            own.set(f"{_COMPUTING}/JobLimits/{job_id}/{name}", str(number), _ORIGIN)
    return render(shown.merge(own))
