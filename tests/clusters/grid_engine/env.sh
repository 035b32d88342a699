# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Settings of the Grid Engine cluster; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_GRID_ENGINE_PORT  the first of two neighbouring loopback ports (default 19444)
system=grid_engine
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
export SGE_ROOT=$system_home/root SGE_CELL=default
export SGE_QMASTER_PORT=${GRIDPILOT_GRID_ENGINE_PORT:-19444}
export SGE_EXECD_PORT=$((SGE_QMASTER_PORT + 1))
installed=/usr/lib/gridengine

# as_admin COMMAND...: init makes sgeadmin the manager, and root is none
as_admin() { runuser -u sgeadmin -- env SGE_SINGLE_LINE=1 "$installed/$1" "${@:2}"; }
