"""What an owner's data are reached by, opened with his credential."""

from pathlib import Path

from agents.credentials.identity import Identity
from agents.data.access import Access
from agents.data.catalogues import catalogue_for
from agents.data.elements import Elements
from agents.data.transfer import Transfers
from agents.errors import Blame, HandBack, ServiceMissing
from agents.jobs.job import MatchedJob, Minor
from agents.wms.published import Published
from agents.wms.registry import Registry
from agents.wms.request_manager import RequestManager
from agents.wms.resource_status import ResourceStatus
from agents.wms.service import Retry, Service
from agents.wms.transports import Transports

_STATUS, _REQUESTS = "ResourceStatus/ResourceStatus", "RequestManagement/ReqManager"
_RETRY = Retry(attempts=3, base_s=1.0, budget_s=30.0)  # whoever moves data has pauses of his own


class Opening:
    """Makes what data are reached by, with the owner's credential and never with the pilot's. Any thread may call.

    Args:
        published: the configuration.
        transports: by credential.
        site: DIRAC's name of this one.
        vo: of owners whose group names none.
    """

    def __init__(self, published: Published, transports: Transports, *, site: str, vo: str) -> None:
        self._published = published
        self._transports = transports
        self._site = site
        self._vo = vo
        self._elements: dict[str, Elements] = {}

    def access(self, matched: MatchedJob, credential: Path | None) -> Access:
        """Return what the data of a job's owner are reached by.

        Raises:
            HandBack: there is no credential of his, or no catalogue.
        """
        if credential is None:
            detail = "there is no proxy of the owner's: the configuration publishes no ProxyManager"
            raise HandBack(Minor.UNMET, detail, blame=Blame.SITE)
        try:
            return self.of(matched.owner, matched.group, credential)
        except ServiceMissing as error:
            raise HandBack(Minor.UNMET, str(error), blame=Blame.SITE) from error

    def of(self, user: str, group: str, credential: Path) -> Access:
        """Return what the data of a user in a group are reached by, with this proxy.

        Raises:
            ServiceMissing: there is no catalogue.
        """
        vo = Registry(self._published.tree).vo(group) or self._vo
        identity = Identity(certificate=credential, ca=self._transports.pilot.ca)
        transport = self._transports.of(credential)
        elements = self._elements_of(vo)
        catalogue = catalogue_for(self._published, transport, identity, vo=vo, user=user)
        requests = self._published.has(_REQUESTS)
        return Access(
            catalogue=catalogue,
            transfers=Transfers(identity, elements, vo),
            elements=elements,
            requests=RequestManager(self._service(_REQUESTS, credential)) if requests else None,
            vo=vo,
            user=user,
            group=group,
            site=self._site,
        )

    def _elements_of(self, vo: str) -> Elements:
        """Return the elements as a VO sees them; they are asked about as the pilot, for all of its jobs."""
        if vo not in self._elements:
            status = ResourceStatus(self._service(_STATUS, None), vo)
            self._elements[vo] = Elements(
                self._published.tree,
                site=self._site,
                vo=vo,
                states=status.elements if self._published.has(_STATUS) else None,
                local=self._published.tree.text("/LocalSite/LocalSE"),
            )
        return self._elements[vo]

    def _service(self, name: str, credential: Path | None) -> Service:
        transport = self._transports.of(credential)
        return Service(name.partition("/")[2], lambda: self._published.urls(name), transport, _RETRY)
