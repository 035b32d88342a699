# shellcheck shell=bash
# A Debian trixie tree with software that is newer than this machine's, made once by debootstrap; source after lib.sh.
# Nothing of it is installed on the machine: `trixie_tree` is a directory, used through chroot or through its own loader.
trixie_tree="$system_cache/trees/trixie"

# need_trixie PACKAGE...: the tree, with these packages in it
need_trixie() {
  need_packages debootstrap
  mkdir -p "$system_cache/trees"
  exec 8>"$trixie_tree.lock"
  flock -w 600 8 || die "another script has held $trixie_tree.lock for 600 s"
  [[ -e $trixie_tree.complete ]] || make_trixie
  if ! chroot "$trixie_tree" dpkg-query -W "$@" >/dev/null 2>&1; then
    say "trixie tree: $*"
    { in_trixie apt-get update -qq && in_trixie apt-get install -qq -y --no-install-recommends "$@"; } \
      >"$system_home/log/trixie-apt.log" 2>&1 || die "apt-get in the tree failed, see $system_home/log/trixie-apt.log"
  fi
  exec 8>&-
}

# make_trixie: from the very mirror this machine's apt uses
make_trixie() {
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -1)
  say "debootstrap trixie from ${mirror:=http://deb.debian.org/debian}: about a minute, 520 MB, once"
  rm -rf "$trixie_tree"
  [[ -e /usr/share/debootstrap/scripts/trixie ]] || ln -s sid /usr/share/debootstrap/scripts/trixie
  debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg trixie "$trixie_tree" "$mirror" \
    >"$system_home/log/debootstrap.log" 2>&1 || die "debootstrap failed, see $system_home/log/debootstrap.log"
  printf '#!/bin/sh\nexit 101\n' >"$trixie_tree/usr/sbin/policy-rc.d" # starts no service
  chmod 755 "$trixie_tree/usr/sbin/policy-rc.d"
  printf 'APT::Sandbox::User "root";\nAcquire::Languages "none";\n' >"$trixie_tree/etc/apt/apt.conf.d/99gridpilot"
  touch "$trixie_tree.complete"
}

# in_trixie COMMAND...: as root, in a mount namespace of its own, so that nothing stays mounted
in_trixie() {
  cp /etc/resolv.conf /etc/hosts "$trixie_tree/etc/"
  unshare --mount --propagation private sh -c 'for m in proc sys dev; do mount --rbind "/$m" "$0/$m"; done; exec chroot "$0" "$@"' \
    "$trixie_tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" "$@"
}
