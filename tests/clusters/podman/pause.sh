# shellcheck shell=bash
# stop_pause: end the process by which griduser's Podman holds its namespaces: it outlives its containers, and would keep
# the next ones in the world that the first was started in
stop_pause() {
  local file pid
  file=/tmp/podman-run-$(id -u griduser)/libpod/tmp/pause.pid
  [[ -s $file ]] || return 0
  pid=$(cat "$file")
  [[ $(cat "/proc/$pid/comm" 2>/dev/null) != catatonit ]] || kill "$pid" || true
  rm -f "$file"
}
