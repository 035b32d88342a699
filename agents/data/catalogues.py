"""Which catalogue counts: what the configuration names, for this VO, with this owner's credential."""

from agents.credentials.identity import Identity
from agents.data.catalogue import FileCatalogue
from agents.wms.published import Published
from agents.wms.service import Transport


def catalogue_for(published: Published, transport: Transport, owner: Identity, *, vo: str, user: str) -> FileCatalogue:
    """Return the file catalogue that the configuration names: DIRAC's FileCatalog or Rucio; MultiVO chooses by VO.

    Args:
        published: the configuration.
        transport: carries calls with the owner's credential.
        owner: the same credential, for catalogues that are not called as DIRAC's services are.
        vo: the owner's.
        user: the owner's name, as the Registry has it.

    Raises:
        ServiceMissing: it names none that we know.
    """
    raise NotImplementedError
