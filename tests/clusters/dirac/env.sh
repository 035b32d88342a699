# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Settings of the DIRAC stack; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_CLUSTERS    where everything heavy lives (default ~/.cache/gridpilot-clusters)
#   GRIDPILOT_DIRAC_PORT  the first of ten neighbouring loopback ports (default 19130)
#   GRIDPILOT_STACK_HOME  where this one stack lives, when it is not the one of GRIDPILOT_CLUSTERS (../diracx)
stack_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export STACK_HOME="${GRIDPILOT_STACK_HOME:-${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/dirac}"
stack_first_port=${GRIDPILOT_DIRAC_PORT:-19130}
export STACK_PORT_CONFIGURATION=$stack_first_port          # master Configuration/Server (https)
export STACK_PORT_TORNADO=$((stack_first_port + 1))        # every released Tornado service (https)
export STACK_PORT_HTTPS_WMS=$((stack_first_port + 2))      # Matcher and PilotManager on https, not in DIRAC
export STACK_PORT_MATCHER=$((stack_first_port + 3))        # Matcher (dips)
export STACK_PORT_PILOT_MANAGER=$((stack_first_port + 4))  # PilotManager (dips)
export STACK_PORT_ACCOUNTING=$((stack_first_port + 5))     # Accounting/DataStore (dips)
export STACK_PORT_MIND=$((stack_first_port + 6))           # OptimizationMind (dips)
export STACK_PORT_DATABASE=$((stack_first_port + 7))       # MariaDB
export STACK_PORT_OPENSEARCH=$((stack_first_port + 8))     # the OpenSearch double (http)

# what data_services.py says of storage (../storage), which need not run
# shellcheck source=../storage/ports.sh
. "$stack_code/../storage/ports.sh"
export STORAGE_STORES="${GRIDPILOT_CLUSTERS:-/var/tmp/gridpilot-clusters}/storage/store"

stack_python="$STACK_HOME/venv/bin/python"
# requests lets the bundle variables override Session.verify, which is how DIRAC passes its CA directory
stack_dirac=(env -u REQUESTS_CA_BUNDLE -u CURL_CA_BUNDLE -u X509_USER_PROXY
  "X509_CERT_DIR=$STACK_HOME/certs/certificates" "PATH=$STACK_HOME/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
  "PYTHONPATH=$STACK_HOME/gfal" 'XrdSecGSISRVNAMES=localhost|127.0.0.1')
# $STACK_HOME in the environment is also how down.sh recognises a process that escaped it
stack_server=("${stack_dirac[@]}" "STACK_SERVER=$STACK_HOME"
  "DIRAC_ROOT_PATH=$STACK_HOME/server" "DIRACSYSCONFIG=$STACK_HOME/server/etc/dirac.cfg"
  "PYTHONPATH=$stack_code/server_side:$STACK_HOME/gfal" "STACK_CAPTURE=$STACK_HOME/server_capture.jsonl")

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'dirac stack: %s\n' "$*" >&2; exit 1; }

# alone: wait until no other up.sh, down.sh or pause.sh works on this stack; held until the script ends
alone() {
  mkdir -p "$STACK_HOME"
  chmod 700 "$STACK_HOME" # keys, proxies and the database's socket
  exec 9>"$STACK_HOME/lock"
  flock -w 600 9 || die "another up.sh, down.sh or pause.sh has held $STACK_HOME/lock for 600 s"
}

# client PROXY_NAME SUBCOMMAND...: DIRAC's own client under one of the proxies of $STACK_HOME/certs
client() {
  local proxy=$1; shift
  "${stack_dirac[@]}" "DIRAC_ROOT_PATH=$STACK_HOME/client" "DIRACSYSCONFIG=$STACK_HOME/client/etc/dirac.cfg" \
    "X509_USER_PROXY=$STACK_HOME/certs/proxy-$proxy.pem" "$stack_python" "$stack_code/dirac_client.py" "$@"
}
