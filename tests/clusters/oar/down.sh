#!/usr/bin/env bash
# End all jobs and stop the OAR cluster, exactly what up.sh started.
#   down.sh           keeps the database and logs
#   down.sh --purge   forgets them too, and puts the packaged /etc/oar/oar.conf back
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

# jobs_left: pids of what jobs of this cluster still run
jobs_left() {
  grep -lz "^OAR_JOB_ID=" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true
}

# A command of OAR's waits for its database as long as it takes, as the user oar, whom nobody else may end.
commands_left() {
  pgrep -u oar -f '^/usr/bin/perl .*/oar(sub|stat|del|hold|resume)\b' || true
}

alone
rm -f "$system_home/client.env" # it promises a running cluster
stop 2 server
stop 2 node
jobs_left | xargs -r kill -KILL 2>/dev/null || true
stop 10 database
commands_left | xargs -r kill -KILL 2>/dev/null || true
nothing_left
if [[ ${1:-} == --purge ]]; then
  install -o oar -m 600 "$pristine" "$configuration"
  rm -rf "${system_home:?}"/{database,database_run,runtime,log,run,ssh_config,sshd_config,ping_nodes.sh}
fi
say down
