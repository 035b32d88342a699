"""How one owner's data are reached: everything that shows his credential, in one value."""

from dataclasses import dataclass

from agents.data.catalogue import FileCatalogue
from agents.data.elements import Elements
from agents.data.transfer import Transfers
from agents.wms.request_manager import RequestManager


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What an owner's data are reached by; from any thread.

    Attributes:
        catalogue: knows which file lies where.
        transfers: moves files.
        elements: what there is, as it is now.
        requests: takes requests for what shall be done later; None where none is published.
        vo: the owner's.
        user: the owner's name.
        group: the owner's.
        site: DIRAC's name of this site.
    """

    catalogue: FileCatalogue
    transfers: Transfers
    elements: Elements
    requests: RequestManager | None
    vo: str
    user: str
    group: str
    site: str
