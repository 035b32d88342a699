#!/usr/bin/env bash
# Say what of the Grid Engine cluster runs. Exit status 0 only if both daemons run, answer, and client.env is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
status_of qmaster "$SGE_QMASTER_PORT"
status_of execd "$SGE_EXECD_PORT"
[[ -s $system_home/client.env ]] || { echo "client.env   not written"; exit 1; }
"$installed/qstat" -f
