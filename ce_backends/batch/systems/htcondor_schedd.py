"""Which schedd takes the jobs of an HTCondor CE, and what we are let in with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ce_backends.errors import CEUnavailable
from ce_backends.untrusted import token_scopes

_SCOPES = {"condor_submit": token_scopes.CREATE, "condor_rm": token_scopes.CANCEL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedd:
    """One schedd.

    Attributes:
        name: of the schedd; empty for the one of this machine, which reads and writes our files itself.
        pool: `host:port` of the collector that knows it.
        environment: variables for HTCondor's tools: how they authenticate.
        token: file with the SciToken or WLCG token that is the only way to authenticate; empty for another way.
        job_proxy: file with the X.509 proxy that goes with each job; empty for none.
    """

    name: str = ""
    pool: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    job_proxy: str = ""

    @property
    def is_remote(self) -> bool:
        """Files are sent to it and fetched from it."""
        return bool(self.name)

    @property
    def asked(self) -> str:
        """Who was asked for it, to end a sentence with: HTCondor's own do not say."""
        return f"; the collector asked is {self.pool}" if self.pool else ""

    def start(self, command: str) -> Sequence[str]:
        """Return how a tool is started that asks this one.

        Raises:
            CEUnavailable: the token, where there is one, says itself that it is not good for that.
        """
        self._require(command)
        environment = [f"{name}={value}" for name, value in self.environment.items()]
        named = [*(("-name", self.name) if self.name else ()), *(("-pool", self.pool) if self.pool else ())]
        return [*(("env", *environment) if environment else ()), command, *named]

    def _require(self, command: str) -> None:
        """Go on only if the token, where there is one, is good for a command."""
        try:
            text = Path(self.token).read_text("ascii") if self.token else ""
        except (OSError, UnicodeDecodeError):
            return  # HTCondor's tools say what is wrong with it
        if lack := token_scopes.lacking(text, _SCOPES.get(command, token_scopes.READ)):
            raise CEUnavailable(f"token {self.token} cannot be used for {command}: {lack}")


LOCAL = Schedd()
