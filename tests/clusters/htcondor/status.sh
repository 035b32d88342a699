#!/usr/bin/env bash
# Say what of the pool runs. Exit status 0 only if it runs, answers and client.env is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
status_of master "$condor_port"
[[ -s $system_home/client.env ]] || { echo "client.env   not written"; exit 1; }
timeout 20 "$system_home/bin/condor_status" -af Name State Cpus
timeout 20 "$system_home/bin/condor_q" -totals >/dev/null
