#!/usr/bin/env bash
# Get (once) a real Apptainer, and the few newer libraries it needs, out of a newer Debian into a tree of its own, make an
# image for it, and write client.env.
#
# Nothing is installed on the machine but bubblewrap, through which the tree is entered: there /usr is the newer Debian's,
# and /tmp, /var/tmp, /home and all else the machine's own, at its own place. No package is configured.
set -euo pipefail
system=apptainer
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../container_image.sh
. "$(dirname "$0")/../container_image.sh"

suite=sid
packages=(apptainer libc6 libgcc-s1 libseccomp2 libsqlite3-0 zlib1g bash libtinfo6)
debs=$system_cache/apptainer
tree=$system_home/tree
command=$system_home/apptainer

# newer ARGUMENT...: apt-get with lists, cache and status of its own: the machine's packages are not concerned
newer() {
  local apt=$debs/apt
  apt-get -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o Dir::State::status="$apt/status" \
    -o APT::Sandbox::User=root -o Acquire::Languages=none -qq "$@"
}

# from the very mirror that this machine's apt uses
fetch() {
  local mirror
  [[ ! -e $debs/complete ]] || return 0
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | head -1)
  say "Apptainer of Debian $suite from ${mirror:=http://deb.debian.org/debian}: 35 MB, once"
  rm -rf "$debs" && mkdir -p "$debs"/apt/{lists,cache/archives}/partial
  : >"$debs/apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$debs/apt/sources.list"
  { newer update && (cd "$debs" && newer download "${packages[@]}"); } >"$system_home/log/fetch.log" 2>&1 ||
    die "the packages of $suite cannot be had, see $system_home/log/fetch.log"
  rm -rf "$debs/apt"
  touch "$debs/complete"
}

unpack() {
  local name package place
  [[ ! -e $tree/complete ]] || return 0
  rm -rf "$tree"
  for name in bin sbin lib lib64; do mkdir -p "$tree/usr/$name" && ln -s "usr/$name" "$tree/$name"; done
  for package in "$debs"/*.deb; do # not dpkg: it would configure
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree" --keep-directory-symlink
  done
  ln -sf bash "$tree/usr/bin/sh"
  # places for what is the machine's own
  for name in passwd group hosts resolv.conf nsswitch.conf localtime; do : >"$tree/etc/$name"; done
  for place in /* /var/*; do [[ ! -d $place || -e $tree$place ]] || mkdir -p "$tree$place"; done
  chmod 755 "$tree"
  touch "$tree/complete"
}

write_command() {
  cat >"$command" <<END
#!/bin/sh
# Apptainer of Debian $suite, in its own tree.
set -- --dev-bind /proc /proc --dev-bind /dev /dev --ro-bind /sys /sys -- /usr/bin/apptainer "\$@"
for name in passwd group hosts resolv.conf nsswitch.conf localtime; do
  [ ! -e "/etc/\$name" ] || set -- --ro-bind "/etc/\$name" "/etc/\$name" "\$@"
done
for place in /* /var/*; do
  case \$place in
    /bin | /sbin | /lib* | /usr | /etc | /dev | /proc | /sys | /var | /var/lib) ;;
    *) [ ! -d "\$place" ] || [ ! -d '$tree'"\$place" ] || set -- --bind "\$place" "\$place" "\$@" ;;
  esac
done
exec bwrap --bind '$tree' / "\$@"
END
  chmod 755 "$command"
}

alone
need_packages bubblewrap
need_grid_user
need_container_image
fetch
unpack
write_command
"$command" --version >"$system_home/log/version.log" 2>&1 ||
  die "it does not start: $(tail -1 "$system_home/log/version.log")"
printf '%s\n' "APPTAINER=$command" "IMAGE=$container_image" >"$system_home/client.env"
say "up, $(cat "$system_home/log/version.log"): $system_home/client.env"
