#!/usr/bin/env bash
# Start a Slurm of three nodes on 127.0.0.1 and write client.env, the environment of its clients. Idempotent.
# Settings are environment variables, see settings.sh.
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"
# shellcheck source=packages.sh
. "$slurm_code/packages.sh"
# shellcheck source=configuration.sh
. "$slurm_code/configuration.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see settings.sh)"

munge() {
  local home=$system_home/munge
  mkdir -p "$home"
  [[ -s $home/key ]] || (umask 077 && head -c 128 /dev/urandom >"$home/key")
  chown -R munge: "$home"
  start munged setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --force \
    --socket="$home/socket" --key-file="$home/key" --pid-file="$home/pid" --log-file="$home/log" --seed-file="$home/seed"
  wait_for 90 munged test -S "$home/socket"
}

database() {
  local home=$system_home/mysql
  if [[ ! -d $home/mysql ]]; then
    install -d -o mysql -g mysql "$home"
    mariadb-install-db --no-defaults --datadir="$home" --user=mysql --auth-root-authentication-method=socket --skip-test-db \
      >"$system_home/log/mariadb-install.log" 2>&1 || die "mariadb-install-db failed, see $system_home/log/mariadb-install.log"
  fi
  # native AIO is missing in some containers; slurmdbd wants the long lock timeout
  start mariadbd mariadbd --no-defaults --user=mysql --datadir="$home" --socket="$home/socket" --pid-file="$home/pid" \
    --bind-address=127.0.0.1 --port=$((port + 6)) --innodb-use-native-aio=0 --innodb-flush-log-at-trx-commit=0 \
    --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
  wait_for 90 MariaDB mariadb-admin --no-defaults --socket="$home/socket" ping
  mariadb --no-defaults --socket="$home/socket" -e "create database if not exists slurm;
    create or replace user slurm@'127.0.0.1' identified by 'slurm'; grant all on slurm.* to slurm@'127.0.0.1';
    create or replace user slurm@localhost identified by 'slurm'; grant all on slurm.* to slurm@localhost;"
  need_loopback
  start slurmdbd LD_PRELOAD="$loopback" "$sbin/slurmdbd" -D # it has no option to listen elsewhere than everywhere
  wait_for 90 slurmdbd answers $((port + 5))
}

# called localhost, which is what the daemons look up to find the one address to listen at
on_localhost() {
  local name=$1; shift
  start "$name" unshare --uts sh -c 'hostname localhost && exec "$@"' sh "$@"
}

controller() {
  on_localhost slurmctld "$sbin/slurmctld" -D -i
  wait_for 90 slurmctld "$bin/scontrol" ping
}

nodes() {
  local n
  for n in "${slurm_nodes[@]}"; do
    mkdir -p "$system_home/spool/$(node "$n")"
    on_localhost "slurmd-$n" "$sbin/slurmd" -D -N "$(node "$n")" -d "$sbin/slurmstepd"
  done
  wait_for 90 "nodes that take jobs" all_take_jobs
}

# A node that was drained before the last down.sh is so still: it is taken back, since who starts a Slurm wants jobs to run.
all_take_jobs() {
  local n
  for n in $("$bin/sinfo" -h -N -p grid -t drain -o %N); do "$bin/scontrol" update nodename="$n" state=resume || return; done
  [[ $("$bin/sinfo" -h -N -p grid -o %T | grep -cxE 'idle|mixed|allocated') == "${#slurm_nodes[@]}" ]]
}

accounts() {
  wait_for 90 "the cluster in slurmdbd" cluster_known
  "$bin/sacctmgr" -n show user griduser | grep -q griduser && return 0
  {
    "$bin/sacctmgr" -iQ add account grid Description=grid Organization=grid
    "$bin/sacctmgr" -iQ add user griduser Account=grid
    "$bin/sacctmgr" -iQ add user root Account=grid
    "$bin/sacctmgr" -iQ add qos tiny set MaxTRESPerJob=cpu=1
    "$bin/sacctmgr" -iQ modify user griduser set qos+=tiny
  } >>"$system_home/log/sacctmgr.out" 2>&1 || true # its exit status is 1 also when there was nothing to change
}

cluster_known() { "$bin/sacctmgr" -nP show cluster | grep -q gridpilot; }

alone
if "$slurm_code/status.sh" >/dev/null 2>&1; then
  say "already up: $system_home/client.env"
  exit 0
fi
need_root
slurm_packages
need_grid_user
slurm_configuration
munge
[[ $slurm_accounting == 0 ]] || database
controller
[[ $slurm_accounting == 0 ]] || accounts
nodes
printf '%s\n' "SLURM_CONF=$SLURM_CONF" "GRIDPILOT_SYSTEM_VERSION='$("$sbin/slurmctld" -V)'" "PATH=$bin:/usr/local/bin:/usr/bin:/bin" >"$system_home/client.env"
say "up, $("$bin/sbatch" --version): $system_home/client.env"
