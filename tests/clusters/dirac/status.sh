#!/usr/bin/env bash
# Say what of the DIRAC stack runs. Exit status 0 only if every process runs, every port answers and endpoint.json is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=processes.sh
. "$stack_code/processes.sh"

all_up=0
for name in "${stack_processes[@]}"; do
  if pid=$(pid_of "$name"); then state="running, pid $pid"; else state=down all_up=1; fi
  for port in $(ports_of "$name"); do
    if answers "$port"; then state+=", port $port answers"; else state+=", port $port closed" all_up=1; fi
  done
  printf '%-14s %s\n' "$name" "$state"
done
if [[ -s $STACK_HOME/endpoint.json ]]; then
  printf '%-14s %s\n' endpoint "$STACK_HOME/endpoint.json"
else
  printf '%-14s %s\n' endpoint "not written" && all_up=1
fi
exit "$all_up"
