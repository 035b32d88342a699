#!/usr/bin/env bash
# Choose which Matcher and PilotManager the Configuration publishes, through DIRAC's own CSAPI (a new CS version).
#   publish.sh dips    as DIRAC ships them (and as up.sh leaves them after a start)
#   publish.sh https   the same logic behind Tornado, see server_side/https_wms
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
urls=/Systems/WorkloadManagement/URLs
case ${1:-} in
  dips)
    client admin set-option \
      "$urls/Matcher=dips://localhost:$STACK_PORT_MATCHER/WorkloadManagement/Matcher" \
      "$urls/PilotManager=dips://localhost:$STACK_PORT_PILOTMANAGER/WorkloadManagement/PilotManager"
    ;;
  https)
    base="https://localhost:$STACK_PORT_HTTPS_WMS/WorkloadManagement"
    client admin set-option "$urls/Matcher=$base/TornadoMatcher" "$urls/PilotManager=$base/TornadoPilotManager"
    ;;
  *) die "usage: publish.sh dips|https, not: $*" ;;
esac
