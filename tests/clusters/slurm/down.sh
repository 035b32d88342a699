#!/usr/bin/env bash
# Stop this Slurm, its jobs and their processes: exactly what up.sh started.
#   down.sh           keeps jobs' records, accounts and logs
#   down.sh --purge   forgets them too; downloaded packages stay below ~/.cache/gridpilot-clusters
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"
[[ $# -eq 0 || ($# -eq 1 && $1 == --purge) ]] || die "down.sh takes no argument or --purge, not: $*"

# Slurm's node daemons make a control group per node, with those of the jobs below it
remove_cgroups() {
  local group
  for group in /sys/fs/cgroup/{memory,freezer,cpuset,cpuacct,devices}/slurm_p"$port"n*; do
    [[ ! -d $group ]] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

alone
port=$(cat "$system_home/first_port" 2>/dev/null || echo none)
rm -f "$system_home/client.env" # it promises a running system
stop 5 slurmctld # first: it would start the jobs of lost nodes again
kill_keepers
for node in "${slurm_nodes[@]}"; do kill_marked "SLURMD_NODENAME=p${port}n$node"; done # Slurm gives it to every job
# shellcheck disable=SC2046 # names without blanks
stop 10 $(daemons)
kill_marked "$system_mark" # helpers of the daemons
remove_cgroups
if [[ ${1:-} == --purge ]]; then find "$system_home" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +; fi
say down
