#!/usr/bin/env bash
# Stop the pool and its jobs, exactly what up.sh started, and check that nothing is left.
#   down.sh           keeps the queue, the tokens and logs
#   down.sh --purge   forgets them too; the tree stays in ~/.cache/gridpilot-clusters
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

alone
rm -f "$system_home/client.env"
stop 5 master
nothing_left
if [[ ${1:-} == --purge ]]; then
  if mountpoint -q "$condor_tree"; then umount "$condor_tree"; fi # see tree_here
  rm -rf --one-file-system "${system_home:?}"/*
  say "purged $system_home"
fi
