"""A dialect before a fake host, by the name that DIRAC has for its batch system."""

from collections.abc import Mapping
from typing import Any

from ce_backends.batch.options import Needs
from ce_backends.batch.transport import Done
from ce_backends.ce_types.local_and_ssh import dialect
from tests.unit.answering import Answering


def batch_system(name: str, answers: Mapping[str, Done], **options: str) -> tuple[Any, Answering]:
    transport = Answering(answers)
    if name == "OpenPBS":
        name, options = "Torque", {"PBSFlavour": "OpenPBS", **options}
    return dialect(name)(transport, Needs(), timeout_s=1, options=options), transport
