"""What the doctor found, and what it knows when a step begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pilot import cfg
from pilot.node.batch_slot import BatchSlot
from pilot.node.worker_node import WorkerNode
from pilot.settings import Loaded, Settings
from pilot.wms.client import Services
from pilot.wms.credential import Credential

OK, WARNING, FAULT, SKIPPED = "ok", "warning", "fault", "skipped"
SEVERITIES = (OK, SKIPPED, WARNING, FAULT)  # worse and worse


@dataclass(frozen=True)
class Finding:
    """One sentence about one thing.

    Attributes:
        step: what was tried.
        severity: ok; warning: a pilot runs, with less; fault: it does not; skipped: could not be tried.
        says: what was found, with the value.
        remedy: what to do, "" where nothing has to be done.
        exit_code: what a pilot would end with, 0 if it would not end.
    """

    step: str
    severity: str
    says: str
    remedy: str = ""
    exit_code: int = 0


@dataclass(frozen=True)
class Contact:
    """A service that was reached.

    Attributes:
        url: of it.
        tls: version of TLS and cipher.
        took_s: for connection and handshake.
        off_s: its clock minus ours, None where it does not say (dips).
    """

    url: str
    tls: str
    took_s: float
    off_s: float | None


@dataclass(frozen=True)
class Patient:
    """The node as far as it is known.

    Attributes:
        loaded: the settings, with their origins.
        vo: the virtual organisation.
        slot: what the batch system says.
        node: what the node gives.
        environ: the environment.
        work_dir: where a pilot would write.
        now: the time, aware.
        credential: ours, once it was read.
        cas: folder or bundle of CAs, once found.
        configuration: what the Configuration service said.
        contacts: services that were reached.
        caller: of services.
    """

    loaded: Loaded
    vo: str
    slot: BatchSlot
    node: WorkerNode
    environ: Mapping[str, str]
    work_dir: Path
    now: Callable[[], datetime]
    credential: Credential | None = None
    cas: Path | None = None
    configuration: cfg.Section = field(default_factory=dict)
    contacts: Sequence[Contact] = ()
    caller: Services | None = None

    @property
    def settings(self) -> Settings:
        """Return what the pilot was told."""
        return self.loaded.settings


Step = Callable[[Patient], "tuple[Patient, list[Finding]]"]
