#!/usr/bin/env bash
# Lose the third node, as a power cut would: its daemon and all that runs there end at once. Slurm finds out after 30 s
# and more; up.sh brings the node back.
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"
node=p$(cat "$system_home/first_port")n3
kill -KILL "$(pid_of slurmd-3)"
kill_keepers "$node"
kill_marked "SLURMD_NODENAME=$node" # the jobs after their keepers, which would report their end
say "lost $node"
