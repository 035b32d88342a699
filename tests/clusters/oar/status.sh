#!/usr/bin/env bash
# Say what of the OAR cluster runs. Exit status 0 only if all daemons run, answer, and client.env is there.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
status_of database "$database_port"
status_of node "$ssh_port"
status_of server "$server_port"
[[ -s $system_home/client.env ]] || { echo "client.env   not written"; exit 1; }
oarnodes -s
