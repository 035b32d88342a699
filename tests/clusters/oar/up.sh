#!/usr/bin/env bash
# Install and start OAR 2.5 on 127.0.0.1: PostgreSQL, the server, and one node behind an sshd of its own; write
# client.env. Idempotent.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see env.sh)"

database() {
  if [[ ! -s $system_home/database/PG_VERSION ]]; then
    install -d -o postgres -g postgres -m 700 "$system_home/database"
    install -d -o postgres -g postgres -m 755 "$system_home/database_run"
    runuser -u postgres -- "$postgres_bin/initdb" -D "$system_home/database" -E UTF8 --locale=C -A trust --no-sync \
      >"$system_home/log/initdb.log" 2>&1 || die "initdb failed, see $system_home/log/initdb.log"
  fi
  start database runuser -u postgres -- "$postgres_bin/postgres" -D "$system_home/database" \
    -k "$system_home/database_run" -p "$database_port" -c listen_addresses=127.0.0.1 -c fsync=off
  wait_for 30 "answer of PostgreSQL" sql -c 'select 1'
  sql oar -c 'select 1 from queues limit 1' >/dev/null 2>&1 || schema >"$system_home/log/schema.log" 2>&1 ||
    die "the schema could not be made, see $system_home/log/schema.log"
}

# OAR's schema for MySQL is a syntax error for MariaDB since 10.7 (a column called `force`); PostgreSQL's is fine
schema() {
  local file
  sql -c 'drop database if exists oar' -c 'drop role if exists oar' -c 'drop role if exists oar_ro' &&
    sql -c "create role oar login" -c "create role oar_ro login" -c "create database oar owner oar" || return 1
  for file in pg_structure pg_default_admission_rules default_data; do
    sql -U oar oar -f "/usr/lib/oar/database/$file.sql" || return 1
  done
  sql oar -c 'grant select on all tables in schema public to oar_ro'
}

# set_values NAME=VALUE...: a filter over oar.conf that replaces what these names are set to, commented out or not
set_values() {
  awk -v lines="$(printf '%s\n' "$@")" '
    BEGIN { n = split(lines, all, "\n")
            for (i = 1; i <= n; i++) { at = index(all[i], "="); wanted[substr(all[i], 1, at - 1)] = substr(all[i], at + 1) } }
    match($0, /^#?[A-Z_]+=/) { name = substr($0, 1, RLENGTH - 1); sub(/^#/, "", name)
                               if (name in wanted) { if (!(name in done)) print name "=\"" wanted[name] "\""; done[name] = 1; next } }
    { print }
    END { for (name in wanted) if (name != "" && !(name in done)) print name "=\"" wanted[name] "\"" }'
}

# Short intervals everywhere, so that tests wait for jobs and not for OAR. No cpusets: a node need not have them.
configure() {
  install -d -o oar -g oar -m 755 "$system_home/runtime" /run/oar
  install -d -m 755 /run/sshd
  install -m 755 "$system_code/ping_nodes.sh" "$system_home/ping_nodes.sh"
  touch "$system_home/log/oar.log"
  chown oar "$system_home/log/oar.log"
  printf '%s\n' 'Host *' 'ForwardX11 no' 'StrictHostKeyChecking no' "UserKnownHostsFile $system_home/runtime/known_hosts" \
    'PasswordAuthentication no' 'AddressFamily inet' 'LogLevel ERROR' >"$system_home/ssh_config"
  printf '%s\n' "Port $ssh_port" 'ListenAddress 127.0.0.1' 'HostKey /etc/oar/oar_ssh_host_rsa_key' 'AllowUsers oar' \
    'StrictModes no' 'UsePAM no' 'PasswordAuthentication no' 'PermitUserEnvironment yes' 'MaxStartups 1024' \
    'AcceptEnv OAR_CPUSET OAR_USER_CPUSET OAR_USER_GPUDEVICE OAR_JOB_USER' 'PidFile none' >"$system_home/sshd_config"
  set_values DB_TYPE=Pg "DB_PORT=$database_port" DB_BASE_PASSWD=none DB_BASE_PASSWD_RO=none \
    "SERVER_PORT=$server_port" LOG_LEVEL=3 "LOG_FILE=$system_home/log/oar.log" \
    "OAR_RUNTIME_DIRECTORY=$system_home/runtime" "OPENSSH_CMD=/usr/bin/ssh -F $system_home/ssh_config -p $ssh_port -e none" \
    SCHEDULER_JOB_SECURITY_TIME=1 SCHEDULER_GANTT_HOLE_MINIMUM_TIME=1 SCHEDULER_MIN_TIME_BETWEEN_2_CALLS=0 \
    "PINGCHECKER_GENERIC_COMMAND=$system_home/ping_nodes.sh $ssh_port" <"$pristine" |
    sed 's/^JOB_RESOURCE_MANAGER_PROPERTY_DB_FIELD=/#&/; s/^PINGCHECKER_SENTINELLE_SCRIPT_COMMAND=/#&/' >"$configuration.new"
  chmod 600 "$configuration.new"
  chown oar "$configuration.new"
  mv "$configuration.new" "$configuration"
  usermod -p '*' oar # sshd refuses a locked account, which "!" is
}

has_node() { oarnodes 2>/dev/null | grep -q localhost; }
is_alive() { oarnodes 2>/dev/null | grep -q Alive; }

nodes() {
  local core
  has_node || {
    oarproperty -a core >/dev/null 2>&1 || true
    for core in 1 2 3 4 5 6 7 8; do oarnodesetting -a -h localhost -p "core=$core"; done >/dev/null 2>&1
  }
  oarnodesetting -s Alive -h localhost >/dev/null 2>&1 || true
  wait_for 30 "life of the node" is_alive
}

alone
need_packages oar-server oar-server-pgsql oar-node oar-user oar-user-pgsql libdbd-pg-perl postgresql openssh-server
need_root
need_grid_user
need_free_port server "$server_port"
need_free_port node "$ssh_port"
need_free_port database "$database_port"
configure
database
start node /usr/sbin/sshd -D -e -f "$system_home/sshd_config"
need_loopback
# of oar's group from the start: else the group changes with this setgid program, and nothing can be preloaded into it
start server setpriv --regid=oar --clear-groups env LD_PRELOAD="$loopback" /usr/sbin/Almighty
wait_for 30 "answer of the server" answers "$server_port"
nodes
printf '%s\n' "PATH=/usr/bin:/bin" "GRIDPILOT_SYSTEM_VERSION='$(oarsub -V | head -1)'" >"$system_home/client.env"
say "up: $system_home/client.env"
