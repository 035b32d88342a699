# shellcheck shell=bash
# Debian trees of other suites, with software that is newer than this machine's, each made once by debootstrap; source
# after lib.sh. Nothing of a tree is installed on the machine: it is a directory, used through chroot or its own loader.
#   GRIDPILOT_NEWEST=1  takes the newest packages that the suite has now, instead of those once fetched
debian_trees="$system_cache/trees"

# need_tree SUITE PACKAGE...: the tree, with these packages in it; sets debian_tree
need_tree() {
  local suite=$1 log=$system_home/log/$1-apt.log; shift
  debian_tree=$debian_trees/$suite
  need_packages debootstrap
  mkdir -p "$debian_trees"
  exec 8>"$debian_tree.lock"
  flock -w 600 8 || die "another script has held $debian_tree.lock for 600 s"
  [[ -e $debian_tree/complete ]] || make_tree "$suite"
  if [[ -n ${GRIDPILOT_NEWEST:-} ]] || ! chroot "$debian_tree" dpkg-query -W "$@" >/dev/null 2>&1; then
    say "Debian $suite: $*"
    { in_tree apt-get update -qq && in_tree apt-get install -qq -y --no-install-recommends "$@" && in_tree apt-get clean; } \
      >"$log" 2>&1 || die "apt-get in the tree failed, see $log"
  fi
  exec 8>&-
}

# make_tree SUITE: from the very mirror this machine's apt uses
make_tree() {
  local suite=$1 mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $(. /etc/os-release; echo "$VERSION_CODENAME")" 2>/dev/null | head -1)
  say "debootstrap $suite from ${mirror:=http://deb.debian.org/debian}: about a minute, 300 MB, once"
  rm -rf --one-file-system "$debian_tree"
  [[ -e /usr/share/debootstrap/scripts/$suite ]] || ln -s sid "/usr/share/debootstrap/scripts/$suite"
  unshare --mount --propagation private debootstrap --variant=minbase \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$debian_tree" "$mirror" \
    >"$system_home/log/debootstrap.log" 2>&1 || die "debootstrap failed, see $system_home/log/debootstrap.log"
  printf '#!/bin/sh\nexit 101\n' >"$debian_tree/usr/sbin/policy-rc.d" # starts no service
  chmod 755 "$debian_tree/usr/sbin/policy-rc.d"
  printf 'APT::Sandbox::User "root";\nAcquire::Languages "none";\n' >"$debian_tree/etc/apt/apt.conf.d/99gridpilot"
  touch "$debian_tree/complete"
}

# in_tree COMMAND...: as root, in a mount namespace of its own, so that nothing stays mounted
in_tree() {
  cp /etc/resolv.conf /etc/hosts "$debian_tree/etc/"
  unshare --mount --propagation private sh -c 'for m in proc sys dev; do mount --rbind "/$m" "$0/$m"; done; exec chroot "$0" "$@"' \
    "$debian_tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" "$@"
}

# tree_here DIRECTORY: the tree once more, in a place that everybody may enter, whatever the mode of ~: its files are
# linked, not mounted, so that nothing has to be unmounted and clients find them also when the system is down
tree_here() {
  if mountpoint -q "$1"; then umount "$1"; fi # by an older version of these scripts: what follows would empty the tree
  rm -rf --one-file-system "$1"
  mkdir -p "$1"
  cp -al "$debian_tree/." "$1/" 2>/dev/null || { rm -rf "$1" && cp -a "$debian_tree/." "$1/"; }
  rm -f "$1"/etc/{passwd,group,hosts,hostname} # of its own: they are written to
  cp -a "$debian_tree"/etc/{passwd,group} /etc/{hosts,hostname} "$1/etc/"
  grep -q '^griduser:' "$1/etc/passwd" || getent passwd griduser >>"$1/etc/passwd"
  grep -q '^grid:' "$1/etc/group" || getent group grid >>"$1/etc/group"
}

# sh -c "$in_chroot" sh TREE STATE COMMAND...: in the mount namespace of start_contained: become the command inside the tree, with the
# machine's devices, homes and temporary folders and the system's state. A chroot's root must be a mount point of its own, else HTCondor's
# starter holds every job (code 6, subcode 22).
# shellcheck disable=SC2016,SC2034 # expanded by the inner shell; used by the scripts that source this
in_chroot='
  tree=$1 state=$2; shift 2
  mount --bind "$tree" "$tree" || exit
  for m in sys dev home tmp var/tmp; do mkdir -p "$tree/$m" && mount --rbind "/$m" "$tree/$m" || exit; done
  mount -t proc proc "$tree/proc" || exit
  mkdir -p "$tree$state" && mount --bind "$state" "$tree$state" || exit
  exec chroot "$tree" "$@"'
