"""CE type AREX: an ARC CE, by its REST interface."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ce_backends.arc.delegation import Delegation
from ce_backends.arc.plan import RecordedDelegation, RecordedRest
from ce_backends.arc.rest import Credential, Rest
from ce_backends.arc.spool import ArcSpool
from ce_backends.arc.system import Arc
from ce_backends.base import TaskSpec
from ce_backends.batch import options as batch_options
from ce_backends.batch.ce import BatchCE
from ce_backends.batch.options import BatchSettings, Options
from ce_backends.batch.shown_files import ShownFiles, ShownFilesSettings, shown_files
from ce_backends.batch.task_book import TaskBook
from ce_backends.ce_types.local_and_ssh import bounds, cap, steps
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, setting, table_of, value_of

_NO_MEANING = ("Account", "SubmitOptions", "NumberOfNodes", "NumberOfGPUs", "SharedArea")
_DIRAC_PREFIX = "nordugrid-"  # DIRAC calls a queue nordugrid-BATCHSYSTEM-QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class ArexSettings:
    """What can be set for the CE and who is let in."""

    host: str = setting(
        Option(name="CEName", kind=str, default="", doc="Host of the CE; the name of its section if not set.")
    )
    port: int = setting(Option(name="Port", kind=int, default=443, minimum=1, doc="Port of its REST interface."))
    rest_version: str = setting(Option(name="RESTVersion", kind=str, default="1.0", doc="Version of the interface."))
    proxy: str = setting(
        Option(
            name="Proxy",
            kind=str,
            default="",
            doc="X.509 proxy to be let in with, and to delegate; $X509_USER_PROXY or /tmp/x509up_uUID if empty.",
        )
    )
    token: str = setting(
        Option(
            name="Token",
            kind=str,
            default="",
            doc="File with a bearer token to be let in with; then no proxy is used but by DelegateProxy.",
        )
    )
    always_delegates: bool = setting(
        Option(
            name="DelegateProxy",
            kind=bool,
            default=False,
            doc="Proxy is delegated to the jobs also where Token lets us in: for accounting, or for what A-REX stages.",
        )
    )
    ca_directory: str = setting(
        Option(
            name="CADirectory",
            kind=str,
            default="",
            doc="Certificates of authorities; $X509_CERT_DIR or /etc/grid-security/certificates if empty.",
        )
    )
    renew_before_s: int = setting(
        Option(
            name="ProxyTimeLeftBeforeRenewal",
            kind=int,
            default=10800,
            unit="s",
            minimum=0,
            doc="Time left of the delegated proxy at which it is delegated again, if ours lasts longer.",
        )
    )

    @property
    def delegates(self) -> bool:
        """A proxy goes with the jobs."""
        return not self.token or self.always_delegates


class AREX:
    """See the module."""

    OPTIONS: ClassVar[Sequence[Option]] = (
        *table_of(ArexSettings),
        *table_of(ShownFilesSettings),
        *(option for option in batch_options.OPTIONS if option.name not in _NO_MEANING),
    )

    @classmethod
    def from_options(cls, work_dir: Path, options: Options) -> BatchCE:
        """See registry.Backend."""
        settings, batch = value_of(ArexSettings, options), value_of(BatchSettings, options)
        batch_options.need_variables(_with_variables(settings))
        credential = _credential(settings)
        rest = Rest(_url(settings), credential, timeout_s=batch.timeout_s)
        delegation = Delegation(rest, credential.proxy, renew_before_s=settings.renew_before_s)
        shown = shown_files(value_of(ShownFilesSettings, options))
        return _build(work_dir, batch, rest, delegation if settings.delegates else None, shown)

    @classmethod
    def plan(cls, work_dir: Path, options: Options, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See registry.Plans."""
        settings = value_of(ArexSettings, options)
        credential = _credential(settings)
        rest = RecordedRest(_url(settings), credential)
        delegation = RecordedDelegation(rest, credential) if settings.delegates else None
        shown = shown_files(value_of(ShownFilesSettings, options))
        return steps(_build(work_dir, value_of(BatchSettings, options), rest, delegation, shown), rest, tasks)


def _build(
    work_dir: Path, batch: BatchSettings, rest: Rest, delegation: Delegation | None, shown: ShownFiles | None
) -> BatchCE:
    area = work_dir.resolve() / "area"
    system = Arc(rest, area, batch_options.needs(replace(batch, queue=_queue(batch.queue))), delegation)
    launcher = batch_options.image_launcher(batch)
    spool = ArcSpool(rest, area, work_dir / "moving", cap=cap(batch), launcher=launcher, shown=shown)
    return BatchCE("ARC", system, rest, spool, TaskBook(work_dir / "tasks.sqlite"), bounds(batch))


def _queue(written: str) -> str:
    """Return the queue by its own name."""
    is_diracs = written.startswith(_DIRAC_PREFIX) and written.count("-") >= 2
    return written.split("-", 2)[2] if is_diracs else written


def _with_variables(settings: ArexSettings) -> Mapping[str, str]:
    """Return the options in which variables may stand, of those that are used."""
    token = {"Token": settings.token} if settings.token else {}
    proxy = {"Proxy": settings.proxy} if settings.delegates else {}
    return {**token, **proxy, "CADirectory": settings.ca_directory}


def _url(settings: ArexSettings) -> str:
    if not settings.host:
        raise CEMisconfigured("option CEName of CE type AREX is not set: expected the host of the CE")
    return f"https://{settings.host}:{settings.port}/arex/rest/{settings.rest_version}"


def _credential(settings: ArexSettings) -> Credential:
    def path(written: str, default: str = "") -> Path:
        return Path(os.path.expandvars(written or default))

    return Credential(
        proxy=path(settings.proxy, os.environ.get("X509_USER_PROXY", f"/tmp/x509up_u{os.getuid()}")),  # noqa: S108 # its usual place
        token=path(settings.token) if settings.token else None,
        ca_directory=path(settings.ca_directory, os.environ.get("X509_CERT_DIR", "/etc/grid-security/certificates")),
    )
