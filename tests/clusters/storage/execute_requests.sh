#!/usr/bin/env bash
# Let DIRAC's own RequestExecutingAgent execute the Requests of jobs, now, whatever their NotBefore says; then end.
#   execute_requests.sh JOB...
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=../dirac/env.sh
. "$system_code/../dirac/env.sh"
[[ $* =~ ^[0-9]+( [0-9]+)*$ ]] || die "usage: execute_requests.sh JOB..., not: $*"
jobs=$*
# those of other jobs must wait: their elements may be down for good, and the agent would try for minutes
mariadb --no-defaults --socket="$STACK_HOME/run/mysqld.sock" ReqDB -e "UPDATE Request
  SET NotBefore = UTC_TIMESTAMP() + INTERVAL IF(JobID IN (${jobs// /, }), -1, 1440) MINUTE WHERE Status = 'Waiting'"
cd "$STACK_HOME/work"
"${stack_server[@]}" dirac-agent RequestManagement/RequestExecutingAgent -o MaxCycles=1 >>"$STACK_HOME/log/requests.log" 2>&1
