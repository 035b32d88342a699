#!/usr/bin/env bash
# Stop the CE and the jobs it started as its own processes, and check that nothing is left.
#   down.sh           keeps jobs, certificates and logs
#   down.sh --purge   forgets them too
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=certificates.sh
. "$system_code/certificates.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

alone
rm -f "$system_home/client.env"
stop 5 ws arex issuer
nothing_left
forget_authority
if [[ ${1:-} == --purge ]]; then
  rm -rf --one-file-system "${system_home:?}"/*
  say "purged $system_home"
fi
