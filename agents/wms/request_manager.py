"""ReqManager: what shall be done with files later, by DIRAC's own agents."""

from agents.errors import Refused
from agents.wms import answers
from agents.wms.service import Service

_NO_SUCH = "no such request"


class RequestManager:
    """Puts requests; the owner of one is who puts it."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def put(self, request: str) -> int:
        """Put a request (JSON); return its number. It is repeated only when surely no byte of it was written.

        Raises:
            Refused: it is none, or not allowed.
            ServiceError: it may be there, or not: `number_of` tells.
        """
        answer = self._service.call("putRequest", request, repeatable=False)
        return answers.job_number(answer, "ReqManager.putRequest")

    def number_of(self, name: str) -> int | None:
        """Return the number of the request of this name, None when there is none.

        Raises:
            ServiceError: it could not be asked.
        """
        try:
            return answers.job_number(self._service.call("getRequestIDForName", name), "ReqManager.getRequestIDForName")
        except Refused as refused:
            if _NO_SUCH in str(refused).lower():
                return None
            raise
