#!/bin/sh
# Make (once) the file tree of a bare worker node: a minimal Debian SUITE with its own Python and nothing else.
# usage: up.sh SUITE    prints the tree's folder; needs root, for debootstrap
set -eu
suite=$1
home=${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/nodes
tree=$home/$suite

fail() {
    printf 'nodes: %s\n' "$*" >&2
    exit 1
}

installed() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null && return 0
    install="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $2"
    [ "$(id -u)" = 0 ] || fail "$1 is missing; as root: $install"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive $install; } >"$home/apt.log" 2>&1 || fail "see $home/apt.log"
}

mirror() { # the one that this machine's own packages come from
    found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -1)
    echo "${found:-http://deb.debian.org/debian/}"
}

mkdir -p "$home"
exec 9>"$home/$suite.lock"
flock 9
installed bwrap bubblewrap
if [ ! -e "$tree.complete" ]; then
    installed debootstrap debootstrap
    rm -rf "$tree"
    debootstrap --variant=minbase --include=python3 "$suite" "$tree" "$(mirror)" >"$home/$suite.log" 2>&1 ||
        fail "debootstrap $suite failed, see $home/$suite.log"
    echo "127.0.0.1 localhost" >"$tree/etc/hosts" # an installed node has it
    rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* "$tree"/usr/share/doc "$tree"/usr/share/locale
    touch "$tree.complete"
fi
echo "$tree"
