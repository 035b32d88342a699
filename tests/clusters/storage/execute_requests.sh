#!/usr/bin/env bash
# Let DIRAC's own RequestExecutingAgent execute what waits in the ReqDB: now, whatever their NotBefore says; then end.
#   execute_requests.sh [CYCLES]    of some ten seconds each (default 1)
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=../dirac/env.sh
. "$system_code/../dirac/env.sh"
cycles=${1:-1}
[[ $# -le 1 && $cycles =~ ^[0-9]+$ ]] || die "usage: execute_requests.sh [CYCLES], not: $*"
mariadb --no-defaults --socket="$STACK_HOME/run/mysqld.sock" ReqDB -e \
  "UPDATE Request SET NotBefore = UTC_TIMESTAMP() - INTERVAL 1 MINUTE WHERE Status = 'Waiting'"
cd "$STACK_HOME/work"
"${stack_server[@]}" dirac-agent RequestManagement/RequestExecutingAgent -o "MaxCycles=$cycles" >>"$STACK_HOME/log/requests.log" 2>&1
