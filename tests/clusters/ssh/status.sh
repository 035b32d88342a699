#!/usr/bin/env bash
# Say which of the SSH servers run. Exit status 0 only if all do, and client.env is there.
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"

all_up=0
port=$(cat "$system_home/first_port" 2>/dev/null || echo 0)
for i in "${!servers[@]}"; do status_of "${servers[i]}" $((port + i)) || all_up=1; done
if [[ -s $system_home/client.env ]]; then word=$system_home/client.env; else word="not written" all_up=1; fi
printf '%-12s %s\n' client.env "$word"
exit "$all_up"
