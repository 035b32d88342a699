#!/usr/bin/env bash
# Stop the storage, exactly what up.sh started, and check that nothing is left.
#   down.sh           keeps files, credentials and logs
#   down.sh --purge   forgets them too
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=dirac.sh
. "$system_code/dirac.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

alone
rm -f "$system_home/endpoint.json" # it promises running servers
stop 5 rucio rucio_vos "${dirac_servers[@]}" "${file_servers[@]}"
nothing_left
if [[ ${1:-} == --purge ]]; then
  rm -rf --one-file-system "${system_home:?}"/*
  say "purged $system_home"
fi
