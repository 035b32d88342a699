# shellcheck shell=bash disable=SC2034 # used by the scripts that source it
# Settings of the HTCondor pool; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_HTCONDOR_PORT        the loopback port of all its daemons (default 19618)
#   GRIDPILOT_HTCONDOR_PROCESSORS  how many it believes to have (default 16)
system=htcondor
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
condor_port=${GRIDPILOT_HTCONDOR_PORT:-19618}
condor_processors=${GRIDPILOT_HTCONDOR_PROCESSORS:-16}
condor_tree=$system_home/tree
