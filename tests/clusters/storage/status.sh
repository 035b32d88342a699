#!/usr/bin/env bash
# Say what of the storage runs. Exit status 0 only if all runs, answers and endpoint.json is there.
#   status.sh [dirac] [rucio] [rucio_vos]   with the name of a part that up.sh takes, this one must run too
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=dirac.sh
. "$system_code/dirac.sh"
all_up=0
status_of near "$STORAGE_PORT_NEAR_HTTPS" || all_up=1
status_of far "$STORAGE_PORT_FAR_HTTPS" || all_up=1
status_of webdav "$STORAGE_PORT_WEBDAV" || all_up=1
for name in "${dirac_servers[@]}"; do
  status_of "$name" "$(dirac_port "$name")" || [[ " $* " != *" dirac "* ]] || all_up=1
done
[[ " $* " != *" dirac "* ]] || joined || { echo "catalogue    joined to a DIRAC that is gone"; all_up=1; }
status_of rucio "$STORAGE_PORT_RUCIO" || [[ " $* " != *" rucio "* ]] || all_up=1
status_of rucio_vos "$STORAGE_PORT_RUCIO_VOS" || [[ " $* " != *" rucio_vos "* ]] || all_up=1
[[ -s $system_home/endpoint.json ]] || { echo "endpoint     not written"; all_up=1; }
exit "$all_up"
