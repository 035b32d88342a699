# shellcheck shell=bash
# A system small enough for tests of containers: a directory with busybox and its names; source after lib.sh.
container_image="$system_home/image"

need_container_image() {
  [[ -e $container_image/bin/env ]] && return 0
  need_packages busybox-static
  local name busybox=$container_image/bin/busybox
  mkdir -p "$container_image"/{bin,dev,etc,proc,sys,tmp,usr/bin,var/tmp}
  install -m 755 "$(command -v busybox)" "$busybox"
  for name in $("$busybox" --list); do
    [[ $name == busybox ]] || ln -sf busybox "$container_image/bin/$name"
  done
  ln -sf /bin/env "$container_image/usr/bin/env"
  ln -sf /proc/mounts "$container_image/etc/mtab" # Podman without root cannot make it in a directory of root's
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$container_image/etc/passwd"
  printf 'root:x:0:\n' >"$container_image/etc/group"
}

# container_down [--purge]: nothing runs between tests; forget the promise, and the files too
container_down() {
  [[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"
  alone
  rm -f "$system_home/client.env"
  if [[ ${1:-} == --purge ]]; then find "$system_home" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +; fi
  say down
}

# container_status COMMAND...: what is promised, and whether the runtime starts
container_status() {
  local word
  word=$("$@" 2>&1 | head -1) || true
  printf '%-12s %s\n' "$system" "$word"
  if [[ -s $system_home/client.env ]]; then printf '%-12s %s\n' client.env "$system_home/client.env"; return 0; fi
  printf '%-12s %s\n' client.env "not written"
  return 1
}
