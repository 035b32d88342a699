"""Serve the Matcher and the PilotManager over https on a port: `serve_https_wms.py PORT`."""

import sys
from pkgutil import resolve_name

SERVICES = ["WorkloadManagement/TornadoMatcher", "WorkloadManagement/TornadoPilotManager"]


def main(port: int) -> None:
    """Read the configuration as DIRAC's own start commands do, then serve until killed."""
    configuration = resolve_name("DIRAC.Core.Base.Script:Script").localCfg
    configuration.setConfigurationForTornado()
    configuration.addDefaultEntry("/DIRAC/Security/UseServerCertificate", "yes")
    loaded = configuration.loadUserData()
    if not loaded["OK"]:
        sys.exit(f"cannot load the configuration: {loaded['Message']}")
    resolve_name("DIRAC.FrameworkSystem.Client.Logger:gLogger").initialize("Tornado", "/")
    # not before the configuration is loaded: importing it reads the configuration
    server = resolve_name("DIRAC.Core.Tornado.Server.TornadoServer:TornadoServer")
    server(services=list(SERVICES), endpoints=False, port=port).startTornado()


if __name__ == "__main__":
    main(int(sys.argv.pop(1)))  # DIRAC parses what is left
