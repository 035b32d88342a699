#!/usr/bin/env bash
# Install and start real storage on loopback and write endpoint.json. Idempotent.
#   up.sh             XRootD twice, Apache WebDAV
#   up.sh dirac       also DIRAC's FileCatalog and two of its StorageElements, joined to ../dirac, which must be up
#   up.sh rucio       also a Rucio server
#   up.sh rucio_vos   also a Rucio server of two VOs
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=servers.sh
. "$system_code/servers.sh"
# shellcheck source=dirac.sh
. "$system_code/dirac.sh"
# shellcheck source=rucio.sh
. "$system_code/rucio.sh"
[[ $* =~ ^((dirac|rucio|rucio_vos) ?)*$ ]] || die "usage: up.sh [dirac] [rucio] [rucio_vos], not: $* (settings are environment variables, see env.sh)"

alone
stop_wedged
if "$system_code/status.sh" "$@" >/dev/null 2>&1; then
  say "already up: $system_home/endpoint.json"
  exit 0
fi
programs
certificates
servers
for part in "$@"; do "$part"; done
python3 "$system_code/write_endpoint.py"
say "up: $system_home/endpoint.json"
