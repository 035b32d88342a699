#!/usr/bin/env bash
# Choose what the joined installation publishes; DIRAC's services that have to hear of it are started again (about 10 s).
#   publish.sh [sandbox=https|dips] [backend=true|false] [future=true|false] [disabled=true|false] [retired=NAME,...|none] [stamps=true|false]
# What is not named is as up.sh leaves it: sandboxes over https, in DIRAC; reports by DiracX; pilots in
# the PilotManager; everything published.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
for part in "$stack_code/processes.sh" "$stack_code/building.sh" "$joined_code/processes.sh" "$joined_code/building.sh"; do
  # shellcheck source=/dev/null
  . "$part"
done
alone
if [[ "$*" != "$(cat "$STACK_HOME/run/published" 2>/dev/null)" ]]; then
  stop 3 sandboxes tornado configuration
  configuration "$@"
  echo "$*" >"$STACK_HOME/run/published"
fi
start configuration
ready configuration
start tornado
start_joined sandboxes
ready tornado
start optimizers task_queues # they give up where the Configuration is away while they start
