#!/usr/bin/env bash
# Install and start a real DIRAC server stack on 127.0.0.1 and write $STACK_HOME/endpoint.json. Idempotent:
# what is installed, made or running is kept, so a second run is quick.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=processes.sh
. "$stack_code/processes.sh"
# shellcheck source=building.sh
. "$stack_code/building.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see env.sh)"

alone
if "$stack_code/status.sh" >/dev/null 2>&1; then
  say "already up: $STACK_HOME/endpoint.json"
  exit 0
fi
mkdir -p "$STACK_HOME"/{run,log,mysql,certs,work,server/etc,server/sandboxes,server/work,server/control,client/etc}
apt_packages
python_packages
# Debian's module loads into any Python of the same minor version
mkdir -p "$STACK_HOME/gfal" && ln -sf /usr/lib/python3/dist-packages/gfal2*.so "$STACK_HOME/gfal/"
"${stack_dirac[@]}" "$stack_python" "$stack_code/make_certificates.py"
databases
services
warm_up
"${stack_dirac[@]}" "$stack_python" "$stack_code/write_endpoint.py"
say "up: $STACK_HOME/endpoint.json"
