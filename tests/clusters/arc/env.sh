# shellcheck shell=bash disable=SC2034 # used by the scripts that source it
# Settings of the ARC CE; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_ARC_LRMS  fork (default): jobs are processes of this machine; slurm: they go to tests/clusters/slurm.
#                       Each is a CE of its own (folders arc and arc-slurm): both can run at once.
#   GRIDPILOT_ARC_PORT  the first of two loopback ports (default 19460, with slurm 19470)
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
arc_lrms=${GRIDPILOT_ARC_LRMS:-fork}
case $arc_lrms in
  fork) system=arc arc_port=${GRIDPILOT_ARC_PORT:-19460} ;;
  slurm) system=arc-slurm arc_port=${GRIDPILOT_ARC_PORT:-19470} ;;
  *) echo "GRIDPILOT_ARC_LRMS is $arc_lrms: expected fork or slurm" >&2; exit 1 ;;
esac
arc_issuer_port=$((arc_port + 1))
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
arc_issuer="https://localhost:$arc_issuer_port/"
arc_authority="/DC=org/DC=gridpilot/CN=Authority of $system"
