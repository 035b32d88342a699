# shellcheck shell=bash
# What the recorders share: run a command as the test user and keep what it said. Source it with `into` set to a folder.
#   NAME.out NAME.err   what it wrote; no file for nothing
#   index.tsv           name, exit code, command
set -euo pipefail
: "${into:?set it before sourcing lib.sh}" "${client_env:?the cluster must be up}"
[[ -s $client_env ]] || { echo "no $client_env: start the cluster with its up.sh first" >&2; exit 1; }
mapfile -t client <"$client_env"
home=$(getent passwd griduser | cut -d: -f6)
rm -rf "$into"
mkdir -p "$into"

# as_user COMMAND...
as_user() { (cd "$home" && exec /usr/sbin/runuser -u griduser -- env -i "${client[@]}" "HOME=$home" USER=griduser LC_ALL=C "$@"); }

# keep NAME COMMAND...: run and record; what it prints is printed too
keep() {
  local name=$1 code=0; shift
  as_user timeout 60 "$@" >"$into/$name.out" 2>"$into/$name.err" </dev/null || code=$?
  printf '%s\t%s\t%s\n' "$name" "$code" "$*" >>"$into/index.tsv"
  cat "$into/$name.out"
  find "$into" -name "$name.*" -empty -delete
}

# until_says SECONDS PATTERN COMMAND...
until_says() {
  local deadline=$((SECONDS + $1)) pattern=$2; shift 2
  until as_user "$@" 2>&1 | grep -qE -- "$pattern"; do
    ((SECONDS < deadline)) || { echo "gave up waiting for $pattern in: $*" >&2; as_user "$@" >&2 || true; return 1; }
    sleep 0.2
  done
}
