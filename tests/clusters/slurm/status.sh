#!/usr/bin/env bash
# Say what of this Slurm runs. Exit status 0 only if every daemon runs, the controller answers and client.env is there.
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"

all_up=0
for name in $(daemons); do status_of "$name" || all_up=1; done
if [[ -s $system_home/client.env ]]; then word=$system_home/client.env; else word="not written" all_up=1; fi
printf '%-12s %s\n' client.env "$word"
if [[ $all_up == 0 ]]; then
  PATH=$(sed -n 's/^PATH=//p' "$system_home/client.env") scontrol ping || all_up=1
fi
exit "$all_up"
