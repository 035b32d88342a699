#!/usr/bin/env bash
# Install and start real storage on loopback and write endpoint.json. Idempotent.
#   up.sh                XRootD twice, Apache WebDAV
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=servers.sh
. "$system_code/servers.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see env.sh)"

alone
if "$system_code/status.sh" >/dev/null 2>&1; then
  say "already up: $system_home/endpoint.json"
  exit 0
fi
programs
certificates
servers
python3 "$system_code/write_endpoint.py"
say "up: $system_home/endpoint.json"
