"""The list of pilots by their stamps, over REST (routes of DiracX 0.7)."""

from collections.abc import Mapping
from http import HTTPStatus

from agents.errors import Refused
from agents.wms.diracx.rest import Rest


class DiracXPilots:
    """Registers pilots and tells how they stand. Any thread may call.

    Args:
        rest: as a pilot, who may tell of one pilot a call, or as somebody with ServiceAdministrator.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def register(self, stamp: str, told: Mapping[str, str]) -> None:
        """Make a pilot known; one that is known already stays as it is, so that repeating it changes nothing.

        Args:
            stamp: of the pilot, at most 32 characters.
            told: vo, and what else the route's body has.

        Raises:
            Refused: DiracX does not take it, or has no such route; errno is the HTTP status.
            ServiceError: as of `Rest.post`.
        """
        try:
            self._rest.post("/api/pilots/", {"pilot_stamp": stamp, **told})
        except Refused as refusal:
            if refusal.errno != HTTPStatus.CONFLICT:
                raise

    def set_status(self, stamp: str, told: Mapping[str, str]) -> None:
        """Tell how a pilot stands, in the words of the route's body; errors as of `register`."""
        self._rest.patch("/api/pilots/metadata", {stamp: dict(told)})
