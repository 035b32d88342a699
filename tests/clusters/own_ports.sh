# shellcheck shell=bash
# own_ports: until the next boot the kernel gives nobody's connection one of the ports on which test systems listen.
# Where its range of such ports is wide (1024 to 65535 on some machines), a server would now and then find its own taken.
own_ports() {
  local reserved=/proc/sys/net/ipv4/ip_local_reserved_ports ours=12000-32010 others
  [[ -w $reserved ]] || return 0
  others=$(cat "$reserved")
  [[ ,$others, == *",$ours,"* ]] || echo "${others:+$others,}$ours" 2>/dev/null >"$reserved" || true
}
