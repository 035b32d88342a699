"""The PilotManager on https. DIRAC has no mix-in for it, so the methods are taken from the dips class."""  # noqa: N999 - DIRAC looks for this name
# mypy: ignore-errors

from DIRAC.Core.Tornado.Server.TornadoService import TornadoService
from DIRAC.WorkloadManagementSystem.Service.PilotManagerHandler import PilotManagerHandler

CALLS = ("export_", "types_", "initializeHandler")
TornadoPilotManagerHandler = type(
    "TornadoPilotManagerHandler",
    (TornadoService,),
    {name: member for name, member in vars(PilotManagerHandler).items() if name.startswith(CALLS)},
)
