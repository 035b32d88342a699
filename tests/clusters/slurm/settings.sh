# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Which Slurm the scripts work on; source it.
#   SLURM_VERSION     20.11, 22.05, 24.11 or 26.05; without it the version that this machine's own packages have
#   SLURM_ACCOUNTING  1 (default) with slurmdbd and MariaDB, 0 without any accounting
#   SLURM_NODE_TIMEOUT_S  after which a silent node counts as lost (default 30)
#   GRIDPILOT_NEWEST=1  takes the newest that Debian sid has now, instead of what was once fetched
# Every combination has its own folder, ports and node names, so that several run side by side.
slurm_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
slurm_version=${SLURM_VERSION:-}
slurm_accounting=${SLURM_ACCOUNTING:-1}
system=slurm${slurm_version:+-$slurm_version}
[[ $slurm_accounting == 1 ]] || system+=-noacct
# shellcheck source=../lib.sh
. "$slurm_code/../lib.sh"
slurm_nodes=(1 2 3)
etc=$system_home/etc
export SLURM_CONF=$etc/slurm.conf

# first_port: the first of ten neighbouring free loopback ports, the same one every time for this system
first_port() {
  local port=$((17000 + $(cksum <<<"$system_home" | cut -d' ' -f1) % 700 * 20)) free i
  if [[ -s $system_home/first_port ]]; then cat "$system_home/first_port"; return; fi
  for (( ; port < 32000; port += 20)); do
    free=1
    for i in {0..9}; do if answers $((port + i)); then free=0; fi; done
    if [[ $free == 1 ]]; then echo "$port" | tee "$system_home/first_port"; return; fi
  done
  die "no ten neighbouring ports are free on 127.0.0.1 between 17000 and 32000"
}

# kill_marked NAME=VALUE: end every process that carries this variable in its environment
kill_marked() {
  local pids
  pids=$(grep -lzxF "$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true)
  # shellcheck disable=SC2086 # a list of pids
  [[ -z $pids ]] || kill -9 $pids 2>/dev/null || true
}

# kill_keepers [NODE]: end Slurm's keepers of running jobs, which outlive the node's daemon, then the jobs, which may have
# cleared their environment. Keepers write over theirs: the node's log, which they hold open, tells whose they are.
kill_keepers() {
  local keeper pids=()
  for keeper in $(pgrep -x slurmstepd || true); do
    if readlink /proc/"$keeper"/fd/* 2>/dev/null | grep -q "^$system_home/log/${1:-}.*\.log$"; then
      # shellcheck disable=SC2207 # a list of pids
      pids+=("$keeper" $(descendants "$keeper"))
    fi
  done
  [[ ${#pids[@]} -eq 0 ]] || kill -9 "${pids[@]}" 2>/dev/null || true
}

# descendants PID: its children, their children, and so on
descendants() {
  local child
  for child in $(pgrep -P "$1" || true); do
    echo "$child"
    descendants "$child"
  done
}

daemons() {
  local node names=()
  for node in "${slurm_nodes[@]}"; do names+=("slurmd-$node"); done
  names+=(slurmctld)
  [[ $slurm_accounting == 0 ]] || names+=(slurmdbd mariadbd)
  echo "${names[*]} munged"
}
