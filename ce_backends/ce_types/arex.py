"""CE type AREX: an ARC CE, by its REST interface."""

import os
from collections.abc import Sequence
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
from ce_backends.batch.options import Options
from ce_backends.batch.task_book import TaskBook
from ce_backends.ce_types.local_and_ssh import bounds, cap, steps
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option

_NO_MEANING = ("Account", "SubmitOptions", "NumberOfNodes", "NumberOfGPUs", "SharedArea")
_DIRAC_PREFIX = "nordugrid-"  # DIRAC calls a queue nordugrid-BATCHSYSTEM-QUEUE


class AREX:
    """See the module."""

    OPTIONS: ClassVar[Sequence[Option]] = (
        Option(name="CEName", kind=str, default="", doc="Host of the CE; the name of its section if not set."),
        Option(name="Port", kind=int, default=443, minimum=1, doc="Port of its REST interface."),
        Option(name="RESTVersion", kind=str, default="1.0", doc="Version of the interface."),
        Option(
            name="Proxy",
            kind=str,
            default="",
            doc="X.509 proxy to be let in with, and to delegate; $X509_USER_PROXY or /tmp/x509up_uUID if empty.",
        ),
        Option(
            name="Token",
            kind=str,
            default="",
            doc="File with a bearer token to be let in with; then no proxy is used but by DelegateProxy.",
        ),
        Option(
            name="DelegateProxy",
            kind=bool,
            default=False,
            doc="Proxy is delegated to the jobs also where Token lets us in: for accounting, or for what A-REX stages.",
        ),
        Option(
            name="CADirectory",
            kind=str,
            default="",
            doc="Certificates of authorities; $X509_CERT_DIR or /etc/grid-security/certificates if empty.",
        ),
        Option(
            name="ProxyTimeLeftBeforeRenewal",
            kind=int,
            default=10800,
            unit="s",
            minimum=0,
            doc="Time left of the delegated proxy at which it is delegated again, if ours lasts longer.",
        ),
        *(option for option in batch_options.OPTIONS if option.name not in _NO_MEANING),
    )

    @classmethod
    def from_options(cls, work_dir: Path, options: Options) -> BatchCE:
        """See registry.Backend."""
        batch_options.need_variables(options, _with_variables(options))
        credential = _credential(options)
        rest = Rest(_url(options), credential, timeout_s=float(options["CommandTimeout"] or 0.0))
        renew_before_s = float(options["ProxyTimeLeftBeforeRenewal"] or 0)
        return _build(work_dir, options, rest, Delegation(rest, credential.proxy, renew_before_s=renew_before_s))

    @classmethod
    def plan(cls, work_dir: Path, options: Options, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See registry.Plans."""
        credential = _credential(options)
        rest = RecordedRest(_url(options), credential)
        ce = _build(work_dir, options, rest, RecordedDelegation(rest, credential))
        return steps(ce, rest, tasks)


def _build(work_dir: Path, options: Options, rest: Rest, delegation: Delegation) -> BatchCE:
    options = {**options, **_settled(options)}
    area = work_dir.resolve() / "area"
    system = Arc(rest, area, batch_options.needs(options), delegation if _delegates(options) else None)
    launcher = batch_options.image_launcher(options)
    spool = ArcSpool(rest, area, work_dir / "moving", cap=cap(options), launcher=launcher)
    return BatchCE("ARC", system, rest, spool, TaskBook(work_dir / "tasks.sqlite"), bounds(options))


def _settled(options: Options) -> Options:
    """Return what batch systems with commands have and this has not; and the queue by its own name."""
    queue = str(options["Queue"])
    if queue.startswith(_DIRAC_PREFIX) and queue.count("-") >= 2:
        queue = queue.split("-", 2)[2]
    return {"Account": "", "SubmitOptions": "", "NumberOfNodes": "1", "NumberOfGPUs": 0, "Queue": queue}


def _delegates(options: Options) -> bool:
    return not options["Token"] or bool(options["DelegateProxy"])


def _with_variables(options: Options) -> Sequence[str]:
    """Return the options in which variables may stand, of those that are used."""
    used = {"Token": bool(options["Token"]), "Proxy": _delegates(options), "CADirectory": True}
    return [name for name, is_used in used.items() if is_used]


def _url(options: Options) -> str:
    if not options["CEName"]:
        raise CEMisconfigured("option CEName of CE type AREX is not set: expected the host of the CE")
    return f"https://{options['CEName']}:{options['Port']}/arex/rest/{options['RESTVersion']}"


def _credential(options: Options) -> Credential:
    def path(name: str, default: str) -> Path:
        return Path(os.path.expandvars(str(options[name]) or default))

    return Credential(
        proxy=path("Proxy", os.environ.get("X509_USER_PROXY", f"/tmp/x509up_u{os.getuid()}")),  # noqa: S108 # its usual place
        token=path("Token", "") if options["Token"] else None,
        ca_directory=path("CADirectory", os.environ.get("X509_CERT_DIR", "/etc/grid-security/certificates")),
    )
