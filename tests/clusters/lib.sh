# shellcheck shell=bash
# What the scripts of all test systems share; source it after setting `system` to the name of the folder.
#   GRIDPILOT_CLUSTERS  where the state of the systems lives (default /var/tmp/gridpilot-clusters); readable for all,
#                       because test clients are an unprivileged user
# What is heavy to download stays below ~/.cache/gridpilot-clusters, also after `down.sh --purge`.
system_home="${GRIDPILOT_CLUSTERS:-/var/tmp/gridpilot-clusters}/${system:?set it before sourcing lib.sh}"
# shellcheck disable=SC2034 # used by the scripts that source this
system_cache="$HOME/.cache/gridpilot-clusters"
system_mark="GRIDPILOT_TEST_SYSTEM=$system_home" # in the environment of all that up.sh starts

# shellcheck source=own_ports.sh
. "$(dirname "${BASH_SOURCE[0]}")/own_ports.sh"

say() { printf '== %s: %s\n' "$system" "$*" >&2; }
die() { printf '%s: %s\n' "$system" "$*" >&2; exit 1; }

# alone: wait until no other up.sh or down.sh works on this system; held until the script ends
alone() {
  own_ports
  mkdir -p "$system_home"/{run,log}
  chmod 755 "$(dirname "$system_home")" "$system_home" "$system_home"/{run,log}
  exec 9>"$system_home/lock"
  flock -w 600 9 || die "another script has held $system_home/lock for 600 s"
}

need_root() { [[ $(id -u) == 0 ]] || die "up.sh starts daemons and jobs of another user: run it as root"; }

# need_packages PACKAGE...: install what is missing; no service of theirs is started
need_packages() {
  local package missing=() install
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) == "ii " ]] || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  install="apt-get install -y --no-install-recommends ${missing[*]}"
  [[ $(id -u) == 0 ]] || die "Debian packages are missing; as root: $install"
  say "$install"
  # RUNLEVEL=1 asks invoke-rc.d to start nothing: the systems here have their own files and ports
  { apt_get "${install#apt-get }" || { apt_get update -qq && apt_get "${install#apt-get }"; }; } \
    >"$system_home/log/apt.log" 2>&1 || die "apt-get failed, see $system_home/log/apt.log"
}

# apt's lock on its lists knows no waiting, and several systems may be brought up at the same time
apt_get() {
  # shellcheck disable=SC2086 # the words of one command line
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 flock -o -w 900 /run/lock/gridpilot-apt apt-get -o DPkg::Lock::Timeout=300 $*
}

# need_grid_user: the unprivileged user of jobs and test clients
need_grid_user() {
  getent group grid >/dev/null || groupadd -g 4000 grid
  id griduser >/dev/null 2>&1 || useradd -m -u 4000 -g grid -s /bin/bash griduser
}

# start_time PID: clock ticks after boot, nothing for a process that is gone or a zombie (proc(5), field 22)
start_time() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }" # the name, field 2, may itself hold blanks
  [[ ${fields[0]} != Z ]] && echo "${fields[19]}"
}

# pid_of NAME: its pid if it still runs; a pid that the kernel has given to somebody else is not it
pid_of() {
  local pid started now
  [[ -s $system_home/run/$1 ]] || return 1
  read -r pid started <"$system_home/run/$1"
  now=$(start_time "$pid") && [[ $now == "$started" ]] && echo "$pid"
}

# start NAME COMMAND...: unless it runs already, in a session of its own: a Ctrl-C at the terminal is not for servers
start() {
  local name=$1 pid; shift
  pid_of "$name" >/dev/null && return 0
  (exec setsid env "$system_mark" "$@" >>"$system_home/log/$name.log" 2>&1 </dev/null 9>&-) &
  pid=$!
  echo "$pid $(start_time "$pid")" >"$system_home/run/$name"
}

# start_contained NAME COMMAND...: the same in a pid and mount namespace, where all it ever starts ends with it
start_contained() {
  local name=$1; shift
  # sh is the namespace's init: it reaps, waits, and passes the end on
  start "$name" unshare --pid --fork --kill-child --mount-proc --propagation private \
    sh -c '"$@" & trap "kill -TERM $!" TERM; while kill -0 $! 2>/dev/null; do wait $!; done' sh "$@"
}

# stop SECONDS NAME...: TERM to all, then KILL to the session of each that is left after so long
stop() {
  local name pid deadline=$((SECONDS + $1)); shift
  for name in "$@"; do
    pid=$(pid_of "$name") || continue
    say "stopping $name (pid $pid)"
    # of a contained one, the init inside is asked, for unshare itself would not pass it on
    if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == unshare ]]; then pkill -TERM -P "$pid"; else kill -TERM "$pid"; fi \
      2>/dev/null || true
  done
  for name in "$@"; do
    while pid=$(pid_of "$name"); do
      if ((SECONDS >= deadline)); then kill -KILL -- "-$pid" 2>/dev/null || true; fi
      sleep 0.1
    done
    rm -f "$system_home/run/$name"
  done
}

# nothing_left: check that no process of the system runs any more
nothing_left() {
  local left
  left=$(grep -lzxF "$system_mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | tr '\n' ' ' || true)
  [[ -z $left ]] || die "processes of this system are left: $left"
}

# need_loopback: sets loopback, a library that keeps a daemon it is preloaded into on 127.0.0.1
need_loopback() {
  need_packages gcc libc6-dev
  loopback=$system_home/loopback.so
  cc -shared -fPIC -O2 -fno-stack-protector -o "$loopback" "$(dirname "${BASH_SOURCE[0]}")/loopback.c"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# need_free_port NAME PORT: unless NAME runs already
need_free_port() {
  pid_of "$1" >/dev/null && return 0
  if answers "$2"; then die "port $2, wanted by $1, is taken: stop what listens there or choose another (see README.md)"; fi
}

# wait_for SECONDS WHAT COMMAND...
wait_for() {
  local deadline=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || { last_words "$what"; die "$what: not there in time, see $system_home/log"; }
    sleep 0.2
  done
}

# last_words NAME: the end of its log, which is gone when the machine is
last_words() { if [[ -s $system_home/log/$1.log ]]; then tail -n 20 "$system_home/log/$1.log" | sed "s/^/   $1: /" >&2; fi; }

# status_of NAME [PORT]: one line; fails when it does not run or does not answer
status_of() {
  local pid
  if ! pid=$(pid_of "$1"); then printf '%-12s down\n' "$1"; return 1; fi
  if [[ -n ${2:-} ]] && ! answers "$2"; then printf '%-12s running, pid %s, port %s closed\n' "$1" "$pid" "$2"; return 1; fi
  printf '%-12s running, pid %s%s\n' "$1" "$pid" "${2:+, port $2 answers}"
}
