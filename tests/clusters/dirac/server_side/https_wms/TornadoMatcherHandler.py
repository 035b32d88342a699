"""The Matcher on https: DIRAC's matching behind DIRAC's Tornado base class. DIRAC itself serves it by dips only."""  # noqa: N999 - DIRAC looks for this name
# mypy: ignore-errors

from DIRAC.Core.Tornado.Server.TornadoService import TornadoService
from DIRAC.WorkloadManagementSystem.Service.MatcherHandler import MatcherHandlerMixin


class TornadoMatcherHandler(MatcherHandlerMixin, TornadoService):
    """Named by the Configuration's HandlerPath."""
