#!/bin/sh
# See that rpm and rpmbuild are installed on this machine; needs root where they are not.
set -eu
home=${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/nodes
command -v rpmbuild >/dev/null && exit 0
mkdir -p "$home"
install="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends rpm"
[ "$(id -u)" = 0 ] || { echo "nodes: rpmbuild is missing; as root: $install" >&2; exit 1; }
{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive $install; } >"$home/apt-rpm.log" 2>&1 ||
    { echo "nodes: see $home/apt-rpm.log" >&2; exit 1; }
