# shellcheck shell=bash disable=SC2034,SC2154 # set in env.sh, used by the scripts that source this
# Start, watch and stop the processes of the stack; source it after env.sh.
# A process is its pid and its start time, so a pid that the kernel gave to somebody else is never signalled.

# In the order of starting. pilot_facing are the ones a pilot talks to, which pause.sh takes away.
stack_processes=(mariadb opensearch configuration mind dips tornado https_wms optimizers task_queues)
pilot_facing=(configuration tornado https_wms dips)
if [[ $STACK_RELEASE == 8.0 ]]; then # keeps parameters in MariaDB, and all services speak dips
  stack_processes=(mariadb configuration mind "${stack_dips[@]}" optimizers task_queues)
  pilot_facing=(configuration "${stack_dips[@]}")
fi

# has_process NAME: this release has it
has_process() { [[ " ${stack_processes[*]} " == *" $1 "* ]]; }

# start_time PID: clock ticks after boot, nothing for a process that is gone or a zombie (proc(5), field 22)
start_time() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }" # the name, field 2, may itself hold blanks
  [[ ${fields[0]} != Z ]] && echo "${fields[19]}"
}

# pid_of NAME: its pid if it still runs
pid_of() {
  local pid started now
  [[ -s $STACK_HOME/run/${1#*/} ]] || return 1
  read -r pid started <"$STACK_HOME/run/${1#*/}"
  now=$(start_time "$pid") && [[ $now == "$started" ]] && echo "$pid"
}

ports_of() {
  local name
  case $1 in
    mariadb) echo "$STACK_PORT_DATABASE" ;;
    opensearch) echo "$STACK_PORT_OPENSEARCH" ;;
    configuration) echo "$STACK_PORT_CONFIGURATION" ;;
    mind) echo "$STACK_PORT_MIND" ;;
    dips) for name in "${stack_dips[@]}"; do ports_of "$name"; done ;;
    */*)
      local port=STACK_PORT_${1#*/}
      port=${port^^}
      echo "${!port}"
      ;;
    tornado) echo "$STACK_PORT_TORNADO" ;;
    https_wms) echo "$STACK_PORT_HTTPS_WMS" ;;
    optimizers | task_queues) ;; # they only connect
  esac
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

launch() {
  local name=$1 pid; shift
  # in a session of its own: a Ctrl-C at the terminal, or the end of a test run, is not for the servers; 9 is the lock
  (cd "$STACK_HOME/work" && exec setsid "$@" >>"$STACK_HOME/log/${name#*/}.log" 2>&1 </dev/null 9>&-) &
  pid=$!
  echo "$pid $(start_time "$pid")" >"$STACK_HOME/run/${name#*/}"
}

# start NAME...: launch what does not run yet
start() {
  local name port tornado=("${stack_server[@]}" DIRAC_USE_TORNADO_IOLOOP=Yes)
  for name in "$@"; do
    pid_of "$name" >/dev/null && continue
    for port in $(ports_of "$name"); do
      if answers "$port"; then die "port $port, wanted by $name, is taken: set GRIDPILOT_DIRAC_PORT to another value"; fi
    done
    say "starting $name"
    case $name in
      # native AIO is missing in some containers; flushing once a second is enough for throw-away jobs
      mariadb) launch "$name" env "STACK_SERVER=$STACK_HOME" mariadbd --no-defaults --user="$(id -un)" \
        --datadir="$STACK_HOME/mysql" --socket="$STACK_HOME/run/mysqld.sock" --pid-file="$STACK_HOME/run/mysqld.pid" \
        --bind-address=127.0.0.1 --port="$STACK_PORT_DATABASE" --max-connections=500 \
        --innodb-use-native-aio=0 --innodb-flush-log-at-trx-commit=2 ;;
      opensearch) launch "$name" "${stack_server[@]}" "$stack_python" "$stack_code/opensearch_double.py" "$STACK_PORT_OPENSEARCH" ;;
      configuration)
        local by=("${tornado[@]}" tornado-start-CS)
        [[ $STACK_RELEASE != 8.0 ]] || by=("${stack_server[@]}" dirac-service Configuration/Server --cfg)
        launch "$name" "${by[@]}" "$STACK_HOME/server/etc/Configuration_Server.cfg"
        ;;
      tornado) launch "$name" "${tornado[@]}" tornado-start-all ;;
      https_wms) launch "$name" "${tornado[@]}" python "$stack_code/serve_https_wms.py" "$STACK_PORT_HTTPS_WMS" ;;
      # apart from the other dips services: it loses jobs when it restarts, so no pause may touch it
      mind) launch "$name" "${stack_server[@]}" dirac-service WorkloadManagement/OptimizationMind ;;
      */*) launch "$name" "${stack_server[@]}" dirac-service "$name" ;;
      dips) launch "$name" "${stack_server[@]}" dirac-service "${stack_dips[@]}" ;;
      optimizers) launch "$name" "${stack_server[@]}" dirac-executor WorkloadManagement/Optimizers ;;
      # removes empty task queues: the Matcher looks at ten at a time, and with many empty ones it misses the one with a job
      task_queues) launch "$name" "${stack_server[@]}" dirac-agent WorkloadManagement/TaskQueuesAgent -o PollingTime=30 ;;
    esac
  done
}

# ready NAME...: wait until each accepts connections
ready() {
  local name port deadline=$((SECONDS + 90))
  for name in "$@"; do
    for port in $(ports_of "$name"); do
      until answers "$port"; do
        pid_of "$name" >/dev/null || { tail -20 "$STACK_HOME/log/${name#*/}.log" >&2; die "$name died, see $STACK_HOME/log/${name#*/}.log"; }
        ((SECONDS < deadline)) || die "$name does not listen on port $port after 90 s, see $STACK_HOME/log/${name#*/}.log"
        sleep 0.2
      done
    done
  done
}

# stop SECONDS NAME...: TERM to all, then KILL to the session of each that is left after so long
stop() {
  local name pid deadline=$((SECONDS + $1)); shift
  for name in "$@"; do
    pid=$(pid_of "$name") || continue
    say "stopping $name (pid $pid)"
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT -- "-$pid" 2>/dev/null || true # a paused one would never see it
  done
  for name in "$@"; do
    while pid=$(pid_of "$name"); do
      if ((SECONDS >= deadline)); then kill -KILL -- "-$pid" 2>/dev/null || true; fi
      sleep 0.1
    done
    rm -f "$STACK_HOME/run/${name#*/}"
  done
}
