# shellcheck shell=bash disable=SC2034 # used by the scripts that source it
# Settings of the HTCondor pool; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_HTCONDOR_VERSION     23.9 (default), of Debian 13, or 25, of Debian sid
#   GRIDPILOT_HTCONDOR_PORT        the loopback port of all its daemons (default 19618, of version 25 19628)
#   GRIDPILOT_HTCONDOR_PROCESSORS  how many it believes to have (default 16)
condor_version=${GRIDPILOT_HTCONDOR_VERSION:-23.9}
case $condor_version in
  23.9) system=htcondor condor_suite=trixie condor_package=htcondor condor_port=${GRIDPILOT_HTCONDOR_PORT:-19618} ;;
  25) system=htcondor-25 condor_suite=sid condor_package=condor condor_port=${GRIDPILOT_HTCONDOR_PORT:-19628} ;;
  *) echo "GRIDPILOT_HTCONDOR_VERSION is $condor_version: expected 23.9 or 25" >&2; exit 1 ;;
esac
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
condor_processors=${GRIDPILOT_HTCONDOR_PROCESSORS:-16}
condor_tree=$system_home/tree
