"""Archives: input sandboxes from the store, outputs from where a payload ran."""

import io
import tarfile

from agents.errors import AgentError
from agents.jobs import sandbox
from ce_backends.errors import CEError
from ce_backends.task import archive as task_archive
from tests.fuzz import scratch
from tests.fuzz.target import Target
from tests.packing import PACKED


def _tar(kind: str = "") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, linked in (("a.sh", ""), ("d/b", ""), ("link", "a.sh"), ("Ω", "")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = (tarfile.SYMTYPE, linked) if linked else (tarfile.REGTYPE, "")
            entry.size = 0 if linked else 3
            archive.addfile(entry, io.BytesIO(b"abc"))
    packed = PACKED.get(kind, bytes)
    return packed(made.getvalue())


def _input(data: bytes) -> None:
    sandbox.unpack(data, scratch.empty("input"))


def _output(data: bytes) -> None:
    task_archive.unpack(scratch.file("output.tar", data), scratch.empty("output"))


TARGETS = (
    Target(
        name="sandbox",
        run=_input,
        errors=(AgentError,),
        seeds=lambda: [_tar(kind) for kind in ("", *PACKED)],
        words=("ustar", "../", "././@PaxHeader", "path=", "size=", "GNU.sparse.map="),
    ),
    Target(
        name="outputs",
        run=_output,
        errors=(CEError, OSError, tarfile.TarError),  # Spool.fetch makes a CEError of them
        seeds=lambda: [_tar()],
        words=("ustar", "../", "././@PaxHeader", "path=", "size="),
    ),
)
