#!/usr/bin/env bash
# Say what of the storage runs. Exit status 0 only if all runs, answers and endpoint.json is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
all_up=0
status_of near "$STORAGE_PORT_NEAR_HTTPS" || all_up=1
status_of far "$STORAGE_PORT_FAR_HTTPS" || all_up=1
status_of webdav "$STORAGE_PORT_WEBDAV" || all_up=1
[[ -s $system_home/endpoint.json ]] || { echo "endpoint     not written"; all_up=1; }
exit "$all_up"
