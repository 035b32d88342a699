# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Settings of the DIRAC stack joined with DiracX; source it. DIRAC's part is ../dirac's, in a home and on ports of its own.
#   GRIDPILOT_CLUSTERS     where everything heavy lives (default ~/.cache/gridpilot-clusters)
#   GRIDPILOT_DIRACX_PORT  the first of fourteen neighbouring loopback ports (default 19160)
joined_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
joined_clusters="${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}"
export GRIDPILOT_STACK_HOME="$joined_clusters/diracx"
export GRIDPILOT_DIRAC_PORT="${GRIDPILOT_DIRACX_PORT:-19160}"
export GRIDPILOT_DIRAC=9.1 # DiracX 0.7 joins no other
# shellcheck source=../dirac/env.sh
. "$joined_code/../dirac/env.sh"
export STACK_PORT_DIRACX=$((stack_first_port + 10))        # DiracX (https)
export STACK_PORT_S3=$((stack_first_port + 11))            # the S3 double (http)
export STACK_PORT_SANDBOX_DIPS=$((stack_first_port + 12))  # SandboxStore (dips)
joined_python="$STACK_HOME/diracx-venv/bin/python"
export STACK_DIRACX_URL="https://localhost:$STACK_PORT_DIRACX"
export STACK_DIRACX_PACKAGE="$joined_code"
# DIRAC's services ask DiracX with plain requests and with its client: both have to know the CA
stack_server+=("REQUESTS_CA_BUNDLE=$STACK_HOME/certs/ca.pem" "DIRACX_CA_PATH=$STACK_HOME/certs/ca.pem")
