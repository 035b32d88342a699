#!/usr/bin/env bash
# Say what of the joined stack runs. Exit status 0 only if every process runs, every port answers and endpoint.json is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=../dirac/processes.sh
. "$stack_code/processes.sh"
# shellcheck source=processes.sh
. "$joined_code/processes.sh"

all_up=0
for name in "${stack_processes[@]}" "${joined_processes[@]}"; do
  [[ $name != https_wms ]] || continue # not started here: DIRAC's own Matcher over dips
  if pid=$(pid_of "$name"); then state="running, pid $pid"; else state=down all_up=1; fi
  for port in $(ports_of "$name" 2>/dev/null) $(port_of_joined "$name"); do
    if answers "$port"; then state+=", port $port answers"; else state+=", port $port closed" all_up=1; fi
  done
  printf '%-14s %s\n' "$name" "$state"
done
[[ -s $STACK_HOME/endpoint.json ]] || all_up=1
exit "$all_up"
