#!/usr/bin/env bash
# Say what of the CE runs. Exit status 0 only if all runs, answers and client.env is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
all_up=0
status_of arex || all_up=1
status_of ws "$arc_port" || all_up=1
status_of issuer "$arc_issuer_port" || all_up=1
[[ -s $system_home/client.env ]] || { echo "client.env   not written"; all_up=1; }
exit "$all_up"
