#!/usr/bin/env bash
# Install and start a real DIRAC joined with a real DiracX on 127.0.0.1, on the same databases, and write
# $STACK_HOME/endpoint.json. Idempotent: what is installed, made or running is kept.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
for part in "$stack_code/processes.sh" "$stack_code/building.sh" "$joined_code/processes.sh" "$joined_code/building.sh"; do
  # shellcheck source=/dev/null
  . "$part"
done
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see env.sh)"

alone
if "$joined_code/status.sh" >/dev/null 2>&1; then
  say "already up: $STACK_HOME/endpoint.json"
  exit 0
fi
mkdir -p "$STACK_HOME"/{run,log,mysql,certs,work,server/etc,server/sandboxes,server/work,server/control,client/etc}
command -v git >/dev/null || die "git is missing: DiracX reads its configuration from a repository"
apt_packages
shared_packages
diracx_packages
"${stack_dirac[@]}" "$stack_python" "$stack_code/make_certificates.py"
databases
secrets
pid_of configuration >/dev/null || { configuration; cs_sync; }
start opensearch configuration
ready opensearch configuration
diracx_settings
diracx_databases
start_joined s3 diracx
start mind
ready mind # alone the first time: it makes the tables of the TaskQueueDB, and two makers at once fail
start dips tornado
ready dips tornado
start_joined sandboxes
if [[ ! -e $STACK_HOME/run/prepared ]]; then
  "${stack_server[@]}" "$stack_python" "$stack_code/prepare.py"
fi
start optimizers task_queues
if [[ ! -e $STACK_HOME/run/prepared ]]; then
  warm_up
  touch "$STACK_HOME/run/prepared"
fi
"${stack_dirac[@]}" "PYTHONPATH=$stack_code" "$stack_python" "$joined_code/endpoint_of_joined.py"
say "up: $STACK_HOME/endpoint.json"
