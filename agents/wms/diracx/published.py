"""What the configuration says of DiracX: for which VOs it is there, and what of DIRAC's services it has taken over."""

from ce_backends.cfg import Section
from ce_backends.readers import comma_list

_TRUE = ("y", "yes", "true", "1")  # in any case; what DIRAC takes for true
_STORES = ("SandboxStore", "TornadoSandboxStore")
_S3, _WMS = "/S3/", "/Systems/WorkloadManagement"


class DiracXPublished:
    """Reads `/DiracX` of the merged configuration, which may change while we look. Any thread may ask.

    Args:
        tree: of the agent.
        vo: of the pilot; a group's own goes before it.
    """

    def __init__(self, tree: Section, vo: str) -> None:
        self._tree = tree
        self._vo = vo

    def url(self, group: str = "") -> str:
        """Return where DiracX is for a group's VO, the pilot's for none; empty where the VO does without."""
        vo = self._tree.text(f"/Registry/Groups/{group}/VO") if group else ""
        url = self._tree.text("/DiracX/URL").rstrip("/")
        disabled = comma_list(self._tree.text("/DiracX/DisabledVOs"))
        return "" if (vo or self._vo) in disabled else url

    def has_taken_over(self, service: str) -> bool:
        """Tell whether DiracX is to be asked in the place of a service of the WorkloadManagement system."""
        word = self._tree.text(f"/DiracX/FutureClientEnabled/WorkloadManagement/{service}")
        return bool(self.url()) and word.strip().lower() in _TRUE

    @property
    def stores_outputs(self) -> bool:
        """Tell whether the installation wants output sandboxes in S3."""
        words = (
            self._tree.text(f"{_WMS}/Services/{store}/{option}")
            for store in _STORES
            for option in ("UseDiracXBackend", "UseDiracXBackendOnly")
        )
        return any(word.strip().lower() in _TRUE for word in words)


def is_in_s3(reference: str) -> bool:
    """Tell whether a sandbox is one of DiracX by the form of its path: `SB:<SE>|/S3/<bucket>/…`."""
    return path_of(reference).startswith(_S3)


def path_of(reference: str) -> str:
    """Return the path that a reference of a sandbox names."""
    return reference.removeprefix("SB:").rpartition("|")[2]
