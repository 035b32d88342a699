"""SandboxStore: small files of a job, down before it runs and up after it."""

import hashlib
from collections.abc import Sequence

from agents.wms import answers
from agents.wms.service import Service


class SandboxStore:
    """Downloads and uploads packed sandboxes; what is in them is `agents.jobs.sandbox`'s business."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def download(self, reference: str) -> bytes:
        """Return the packed files that `SB:<storage element>|<path>` names.

        Raises:
            Refused: the store does not give it.
            ServiceError: no usable answer.
        """
        path = reference.removeprefix("SB:").rpartition("|")[2]
        # as DIRAC's client asks: 8.0 and 9.0 take their own URL off the front, 9.1 all that ends with their own name
        return self._service.download("streamToClient", self._service.url + path)

    def upload_output(self, job_id: int, packed: bytes) -> str:
        """Store a job's output sandbox; return its reference. The store checks the hash in its name."""
        name = hashlib.md5(packed, usedforsecurity=False).hexdigest() + ".tar.bz2"
        assigned: Sequence[object] = [name, {f"Job:{job_id}": "Output"}]
        answer = self._service.call("streamFromClient", assigned, "", len(packed), packed)
        return answers.text(answer, "SandboxStore", "the sandbox's reference")
