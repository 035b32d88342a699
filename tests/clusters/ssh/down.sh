#!/usr/bin/env bash
# Stop the SSH servers and what their sessions started.
#   down.sh           keeps keys and logs
#   down.sh --purge   forgets them too
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

# a session's processes know the server's port: SSH_CONNECTION is "client its-port server its-port" (ssh(1))
kill_sessions() {
  local i pids
  for i in "${!servers[@]}"; do
    pids=$(grep -lazE "^SSH_CONNECTION=127\.0\.0\.1 [0-9]+ 127\.0\.0\.1 $((port + i))\$" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true)
    # shellcheck disable=SC2086 # a list of pids
    [[ -z $pids ]] || kill -9 $pids 2>/dev/null || true
  done
}

alone
rm -f "$system_home/client.env" # it promises a running system
stop 5 "${servers[@]}"
if [[ -s $system_home/first_port ]]; then port=$(cat "$system_home/first_port") && kill_sessions; fi
if [[ ${1:-} == --purge ]]; then find "$system_home" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +; fi
say down
