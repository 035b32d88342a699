#!/usr/bin/env bash
# Stop the DIRAC stack, exactly what up.sh started, and check that nothing is left.
#   down.sh           keeps databases, certificates and logs
#   down.sh --purge   forgets them too; the venv stays, it is what takes long to make
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=processes.sh
. "$stack_code/processes.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

alone
rm -f "$STACK_HOME/endpoint.json" # it promises a running stack
# The agent and the executor end their cycle first and have nothing worth waiting for; the database goes last.
stop 3 task_queues optimizers dips "${stack_dips[@]}" mind https_wms tornado configuration opensearch
stop 30 mariadb

# every server, and every child of one, carries STACK_SERVER in its environment
left=$(grep -lzxF "STACK_SERVER=$STACK_HOME" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | tr '\n' ' ' || true)
[[ -z $left ]] || die "processes of this stack are left: $left"

if [[ ${1:-} == --purge ]]; then
  rm -rf "${STACK_HOME:?}"/{run,log,mysql,certs,server,client,work} "$STACK_HOME/server_capture.jsonl"
  say "purged $STACK_HOME, venv kept"
fi
