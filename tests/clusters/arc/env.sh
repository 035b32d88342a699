# shellcheck shell=bash disable=SC2034 # used by the scripts that source it
# Settings of the ARC CE; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_ARC_LRMS  fork (default): jobs are processes of this machine; slurm: they go to tests/clusters/slurm.
#                       Each is a CE of its own (folders arc and arc-slurm): both can run at once.
#   GRIDPILOT_ARC_VERSION  without it the version that this machine's own packages have; or 7.0, of Debian 13, or 7.2, of
#                       Debian sid, in a tree (../debian_tree.sh), with fork only
#   GRIDPILOT_ARC_PORT  the first of two loopback ports (default 19460, with slurm 19470, of 7.0 19480, of 7.2 19490)
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
arc_lrms=${GRIDPILOT_ARC_LRMS:-fork}
arc_version=${GRIDPILOT_ARC_VERSION:-}
case $arc_lrms$arc_version in
  fork) system=arc arc_suite='' arc_port=${GRIDPILOT_ARC_PORT:-19460} ;;
  slurm) system=arc-slurm arc_suite='' arc_port=${GRIDPILOT_ARC_PORT:-19470} ;;
  fork7.0) system=arc-7.0 arc_suite=trixie arc_port=${GRIDPILOT_ARC_PORT:-19480} ;;
  fork7.2) system=arc-7.2 arc_suite=sid arc_port=${GRIDPILOT_ARC_PORT:-19490} ;;
  *) echo "GRIDPILOT_ARC_LRMS=$arc_lrms with GRIDPILOT_ARC_VERSION=$arc_version: expected fork or slurm, or fork with 7.0 or 7.2" >&2; exit 1 ;;
esac
arc_issuer_port=$((arc_port + 1))
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
arc_tree=$system_home/tree # with arc_suite only
arc_issuer="https://localhost:$arc_issuer_port/"
arc_authority="/DC=org/DC=gridpilot/CN=Authority of $system"
