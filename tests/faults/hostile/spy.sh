# Tries what no payload may do to its pilot and its neighbour; prints a word for each thing that it could do.
# usage: spy.sh PROXY LEDGER NEIGHBOURS_FILE NEIGHBOURS_PID AGENTS_PID; for any sh, also busybox's
proxy=$1 ledger=$2 neighbours=$3 neighbour=$4 agent=$5

could() { # WORD COMMAND...
  word=$1
  shift
  "$@" >/dev/null 2>&1 && echo "$word"
}

open_for_writing() { [ -e "$1" ] && true >>"$1"; } # not what it makes itself in a /tmp of its own

PTRACE='import ctypes, sys; sys.exit(ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0) != 0)' # SEIZE: stops nobody

could read-proxy grep -q . "$proxy"
could read-ledger grep -q . "$ledger"
could write-ledger open_for_writing "$ledger"
could read-neighbour grep -q . "$neighbours"
could write-neighbour open_for_writing "$neighbours"
could signal-neighbour kill -0 "$neighbour"
could signal-agent kill -0 "$agent"
could read-agents-environment cat "/proc/$agent/environ"
could enter-agents-files ls "/proc/$agent/root/"
could read-neighbours-environment cat "/proc/$neighbour/environ"
if command -v python3 >/dev/null; then
  could trace-agent python3 -c "$PTRACE" "$agent"
  could trace-neighbour python3 -c "$PTRACE" "$neighbour"
fi
could change-kernel-settings open_for_writing /proc/sys/kernel/core_pattern
echo tried
