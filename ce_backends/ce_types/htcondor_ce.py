"""CE type HTCondorCE: the schedd of another machine, to which files are sent and from which they are fetched.

An HTCondor-CE, or any schedd that is known to a collector. HTCondor's own tools must be on this machine; how they
authenticate (tokens, SSL with a proxy) is theirs, and can be set here.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ce_backends.base import TaskSpec
from ce_backends.batch import options as batch_options
from ce_backends.batch.ce import BatchCE
from ce_backends.batch.options import BatchSettings, Options
from ce_backends.batch.plan import Recorder
from ce_backends.batch.shown_files import ShownFilesSettings, shown_files
from ce_backends.batch.staged_spool import SentSpool
from ce_backends.batch.systems.htcondor import Condor
from ce_backends.batch.systems.htcondor_schedd import Schedd
from ce_backends.batch.task_book import TaskBook
from ce_backends.batch.transport import Local, Transport
from ce_backends.ce_types.local_and_ssh import bounds, cap, steps
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Option, setting, table_of, value_of

_COPIED = {"_CONDOR_DELEGATE_JOB_GSI_CREDENTIALS": "false"}  # else it fails with a token in 24.4: HTCONDOR-2904
_NO_MEANING = ("Queue", "NumberOfNodes", "SharedArea")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheddSettings:
    """What can be set for the schedd and who is let in."""

    host: str = setting(
        Option(name="CEName", kind=str, default="", doc="Host of the CE; the name of its section if not set.")
    )
    port: int = setting(Option(name="Port", kind=int, default=9619, minimum=1, doc="Port of its collector."))
    schedd: str = setting(
        Option(name="Schedd", kind=str, default="", doc="Name of the schedd, where it is not that of the host.")
    )
    token_directory: str = setting(
        Option(
            name="TokenDirectory",
            kind=str,
            default="",
            doc="Directory with IDTOKENS to authenticate with; HTCondor's own configuration decides if empty.",
        )
    )
    token: str = setting(
        Option(name="Token", kind=str, default="", doc="File with a SciToken or WLCG token to authenticate with.")
    )
    proxy: str = setting(
        Option(
            name="Proxy",
            kind=str,
            default="",
            doc="X.509 proxy to authenticate with, by SSL; with DelegateProxy not where a token lets us in.",
        )
    )
    delegates: bool = setting(
        Option(
            name="DelegateProxy",
            kind=bool,
            default=False,
            doc="Proxy goes with each job, where it can be read by it: for the accounting of CEs that take the VO from "
            "its attributes.",
        )
    )


class HTCondorCE:
    """See the module."""

    OPTIONS: ClassVar[Sequence[Option]] = (
        *table_of(ScheddSettings),
        *table_of(ShownFilesSettings),
        *(option for option in batch_options.OPTIONS if option.name not in _NO_MEANING),
        *Condor.OPTIONS,
    )

    @classmethod
    def from_options(cls, work_dir: Path, options: Options) -> BatchCE:
        """See registry.Backend."""
        settings = value_of(ScheddSettings, options)
        batch_options.need_variables(
            {"TokenDirectory": settings.token_directory, "Token": settings.token, "Proxy": settings.proxy}
        )
        return _build(work_dir, options, Local())

    @classmethod
    def plan(cls, work_dir: Path, options: Options, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See registry.Plans."""
        recorder = Recorder("this machine")
        return steps(_build(work_dir, options, recorder), recorder, tasks)

    @staticmethod
    def here() -> str:
        """See registry.Looks."""
        return "yes" if shutil.which(Condor.COMMAND) else f"no: there is no {Condor.COMMAND}"


def _build(work_dir: Path, options: Options, transport: Transport) -> BatchCE:
    settings, batch = value_of(ScheddSettings, options), value_of(BatchSettings, options)
    if not settings.host:
        raise CEMisconfigured("option CEName of CE type HTCondorCE is not set: expected the host of the CE")
    needs, schedd = batch_options.needs(batch), _schedd(settings)
    system = Condor(transport, needs, timeout_s=batch.timeout_s, options=options, schedd=schedd)
    area, launcher = str(work_dir.resolve() / "area"), batch_options.image_launcher(batch)
    shown = shown_files(value_of(ShownFilesSettings, options))
    spool = SentSpool(transport, area, work_dir / "moving", cap=cap(batch), launcher=launcher, shown=shown)
    return BatchCE("HTCondor", system, transport, spool, TaskBook(work_dir / "tasks.sqlite"), bounds(batch))


def _schedd(settings: ScheddSettings) -> Schedd:
    """Return which one, and what goes to it: with a token, a proxy may be there for the jobs alone, as in DIRAC.

    Raises:
        CEMisconfigured: there is no proxy that could go with the jobs.
    """
    written = (settings.token_directory, settings.token, settings.proxy)
    token_directory, token, proxy = map(os.path.expandvars, written)
    if settings.delegates and not proxy:
        raise CEMisconfigured("option DelegateProxy is yes, and Proxy is not set: expected the proxy's file there")
    is_for_jobs_alone = settings.delegates and bool(token_directory or token)
    ours = "" if is_for_jobs_alone else proxy
    return Schedd(
        name=settings.schedd or settings.host,
        pool=f"{settings.host}:{settings.port}",
        environment=_authentication(token_directory, token, ours) | (_COPIED if is_for_jobs_alone else {}),
        token="" if token_directory or ours else token,
        job_proxy=str(Path(proxy).absolute()) if settings.delegates else "",
    )


def _authentication(token_directory: str, token: str, proxy: str) -> dict[str, str]:
    """Return the variables that tell HTCondor's tools how to authenticate."""
    environment: dict[str, str] = {}
    methods = []
    if token_directory:
        environment["_CONDOR_SEC_TOKEN_DIRECTORY"] = token_directory
        methods.append("IDTOKENS")
    if token:
        environment["_CONDOR_SCITOKENS_FILE"] = token
        methods.append("SCITOKENS")
    if proxy:
        environment |= dict.fromkeys(
            ("X509_USER_PROXY", "_CONDOR_AUTH_SSL_CLIENT_CERTFILE", "_CONDOR_AUTH_SSL_CLIENT_KEYFILE"), proxy
        )
        methods.append("SSL")
    if methods:
        environment["_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS"] = ",".join(methods)
    return environment
