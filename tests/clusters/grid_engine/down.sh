#!/usr/bin/env bash
# End all jobs and stop the Grid Engine cluster, exactly what up.sh started.
#   down.sh           keeps accounting and logs
#   down.sh --purge   forgets them too
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

# jobs_left: pids of what jobs of this cluster still run; a client has no JOB_ID
jobs_left() {
  grep -lzxF "SGE_ROOT=$SGE_ROOT" /proc/[0-9]*/environ 2>/dev/null | xargs -r grep -lz '^JOB_ID=' 2>/dev/null |
    cut -d/ -f3 || true
}

alone
rm -f "$system_home/client.env" # it promises a running cluster
if pid_of qmaster >/dev/null && pid_of execd >/dev/null; then
  as_admin qdel -u '*' >/dev/null 2>&1 || true
  for _ in {1..30}; do [[ -n $(as_admin qstat -u '*' 2>/dev/null) ]] || break; sleep 0.1; done
fi
stop 5 execd
stop 2 qmaster # it would take ten seconds; what it has spooled is in a transactional database
# but for the number of the last job: no number is given a second time
last=$system_home/spool/qmaster/jobseqnum
if [[ -s $last ]]; then echo $(($(cat "$last") + 1000)) >"$last"; fi
jobs_left | xargs -r kill -KILL 2>/dev/null || true
nothing_left
if [[ ${1:-} == --purge ]]; then rm -rf "${system_home:?}"/{root,spool,conf,log,run,loopback.so}; fi
say down
