#!/usr/bin/env bash
# Take the services away from the pilots for some seconds, then bring them back.
#   pause.sh refuse SECONDS [PROCESS...]   stopped and started again: connections are refused
#   pause.sh hang   SECONDS [PROCESS...]   SIGSTOP and SIGCONT: connections open, nobody answers
# PROCESS is any name that status.sh prints; by default all that a pilot talks to. Returns when they are back.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=processes.sh
. "$stack_code/processes.sh"
[[ $# -ge 2 && $1 =~ ^(refuse|hang)$ && $2 =~ ^[0-9]+$ ]] || die "usage: pause.sh refuse|hang SECONDS [PROCESS...], not: $*"
alone
how=$1 seconds=$2
shift 2
names=("$@")
[[ $# -gt 0 ]] || names=("${pilot_facing[@]}")
for name in "${names[@]}"; do
  pid_of "$name" >/dev/null || die "$name does not run, so it cannot be paused"
done

signal() {
  for name in "${names[@]}"; do kill "-$1" -- "-$(pid_of "$name")"; done
}
bring_back() {
  local name
  if [[ $how == hang ]]; then signal CONT && return; fi
  # the Configuration, which stands first, before the others: a service that starts before it answers gives up
  start "${names[0]}" && ready "${names[0]}"
  start "${names[@]}" && ready "${names[@]}"
}

trap bring_back EXIT # also when we are interrupted: a test that dies must not leave the stack away
trap 'exit 130' INT TERM
if [[ $how == hang ]]; then signal STOP; else stop 3 "${names[@]}"; fi
say "${names[*]}: $how for $seconds s"
sleep "$seconds" & # waited for, so that the traps run at once
wait $!
