# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Settings of the DIRAC stack; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_DIRAC       which DIRAC: 8.0, 9.0 or 9.1 (default), in the newest version that constraints-*.txt names
#   GRIDPILOT_CLUSTERS    where everything heavy lives (default ~/.cache/gridpilot-clusters)
#   GRIDPILOT_DIRAC_PORT  the first of ten neighbouring loopback ports, twenty of DIRAC 8.0 (default 19130, 19220, 19200)
#   GRIDPILOT_STACK_HOME  where this one stack lives, when it is not the one of GRIDPILOT_CLUSTERS (../diracx)
stack_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export STACK_RELEASE="${GRIDPILOT_DIRAC:-9.1}"
case $STACK_RELEASE in
  8.0) stack_name=dirac-8.0 stack_first_port=19200 ;;
  9.0) stack_name=dirac-9.0 stack_first_port=19220 ;;
  9.1) stack_name=dirac stack_first_port=19130 ;;
  *) printf 'dirac stack: GRIDPILOT_DIRAC is 8.0, 9.0 or 9.1, not %s\n' "$STACK_RELEASE" >&2; exit 1 ;;
esac
export STACK_HOME="${GRIDPILOT_STACK_HOME:-${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/$stack_name}"
stack_first_port=${GRIDPILOT_DIRAC_PORT:-$stack_first_port}
export STACK_PORT_CONFIGURATION=$stack_first_port          # master Configuration/Server (https; dips in 8.0)
export STACK_PORT_TORNADO=$((stack_first_port + 1))        # every released Tornado service (https)
export STACK_PORT_HTTPS_WMS=$((stack_first_port + 2))      # Matcher and PilotManager on https, not in DIRAC
export STACK_PORT_MATCHER=$((stack_first_port + 3))        # Matcher (dips)
export STACK_PORT_PILOTMANAGER=$((stack_first_port + 4))   # PilotManager (dips)
export STACK_PORT_DATASTORE=$((stack_first_port + 5))      # Accounting/DataStore (dips)
export STACK_PORT_MIND=$((stack_first_port + 6))           # OptimizationMind (dips)
export STACK_PORT_DATABASE=$((stack_first_port + 7))       # MariaDB
export STACK_PORT_OPENSEARCH=$((stack_first_port + 8))     # the OpenSearch double (http)

# what is served by dips, each at a port named like the service: by one process, in DIRAC 8.0 by one for each, for then it
# is all there is, and a process of several services closes one of two connections that come to two of them at once
stack_dips=(WorkloadManagement/Matcher WorkloadManagement/PilotManager Accounting/DataStore)
if [[ $STACK_RELEASE == 8.0 ]]; then
  stack_port=$((stack_first_port + 10))
  for service in WorkloadManagement/{JobManager,JobMonitoring,JobStateUpdate,WMSAdministrator,SandboxStore} \
    Framework/ProxyManager ResourceStatus/ResourceStatus RequestManagement/ReqManager; do
    stack_dips+=("$service")
    service=${service#*/}
    export "STACK_PORT_${service^^}=$((stack_port++))"
  done
fi

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

# shellcheck source=../own_ports.sh
. "$(dirname "${BASH_SOURCE[0]}")/../own_ports.sh"

# alone: wait until no other up.sh, down.sh or pause.sh works on this stack; held until the script ends
alone() {
  own_ports
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
