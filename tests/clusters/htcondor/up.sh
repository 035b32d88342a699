#!/usr/bin/env bash
# Install and start a real HTCondor pool on 127.0.0.1 and write client.env. Idempotent: what is there is kept.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=../debian_tree.sh
. "$system_code/../debian_tree.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see env.sh)"

tree() {
  need_tree "$condor_suite" "$condor_package"
  tree_here "$condor_tree"
}

configuration() {
  local ids
  ids=$(chroot "$condor_tree" sh -c 'echo "$(id -u condor).$(id -g condor)"')
  mkdir -p "$system_home"/{spool,execute,sockets,bin,tokens.d,passwords.d,locks,user,condor-log,certificates}
  chmod 755 "$system_home"/*/
  chmod 1777 "$system_home"/{execute,locks}
  chmod 700 "$system_home"/{passwords.d,tokens.d}
  chown "${ids/./:}" "$system_home"/{condor-log,spool,execute,sockets,locks}
  sed -e "s#@HOME@#$system_home#g; s#@PORT@#$condor_port#g; s#@PROCESSORS@#$condor_processors#g; s#@IDS@#$ids#g" \
    "$system_code/condor_config.in" >"$system_home/condor_config"
}

# The tools of the tree for this machine: run by the tree's own loader, unprivileged and without chroot.
clients() {
  local tool binary loader
  loader=$(readlink -f "$condor_tree/lib64/ld-linux-x86-64.so.2" || true)
  [[ -x $loader ]] || loader=$condor_tree/usr/lib64/ld-linux-x86-64.so.2
  for tool in submit q rm hold release history status transfer_data version config_val qedit vacate_job ping \
    token_create token_fetch store_cred off; do
    binary=$(ls "$condor_tree"/usr/{bin,sbin}/condor_"$tool" 2>/dev/null | head -1) || true
    [[ -n $binary ]] || continue
    binary=$condor_tree$(chroot "$condor_tree" readlink -f "${binary#"$condor_tree"}") # hold and release are links to rm
    cat >"$system_home/bin/condor_$tool" <<WRAPPER
#!/bin/sh
CONDOR_CONFIG=\${CONDOR_CONFIG:-$system_home/condor_config}
export CONDOR_CONFIG
exec $loader --argv0 condor_$tool --library-path $condor_tree/usr/lib/x86_64-linux-gnu:$condor_tree/usr/lib:$condor_tree/usr/lib/condor $binary "\$@"
WRAPPER
    chmod 755 "$system_home/bin/condor_$tool"
  done
}

# The master in a chroot of the tree; what it mounts and starts ends with its namespace.
pool() {
  need_free_port master "$condor_port"
  start_contained master sh -c "$in_chroot" sh "$condor_tree" "$system_home" env -i "$system_mark" \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin X509_CERT_DIR="$system_home/certificates" \
    CONDOR_CONFIG="$system_home/condor_config" condor_master -f
  wait_for 60 "an execution point" sh -c "'$system_home/bin/condor_status' -af Name | grep -q slot1"
  wait_for 60 "a schedd that answers" "$system_home/bin/condor_q"
}

# A token for griduser, so that a client needs neither root nor a common file system with the schedd.
token() {
  [[ -s $system_home/user/token ]] && return 0
  chroot "$condor_tree" true # the tree is there
  [[ -s $system_home/passwords.d/POOL ]] || wait_for 20 "the pool's signing key" test -s "$system_home/passwords.d/POOL"
  "$system_home/bin/condor_token_create" -identity griduser@gridpilot -key POOL >"$system_home/user/token"
  chown griduser:grid "$system_home/user/token"
  chmod 600 "$system_home/user/token"
}

client_env() {
  cat >"$system_home/client.env" <<ENV
PATH=$system_home/bin:/usr/local/bin:/usr/bin:/bin
CONDOR_CONFIG=$system_home/condor_config
GRIDPILOT_SYSTEM_VERSION='$("$system_home/bin/condor_version" | head -1)'
GRIDPILOT_HTCONDOR_SCHEDD=gridpilot@localhost
GRIDPILOT_HTCONDOR_POOL=127.0.0.1:$condor_port
GRIDPILOT_HTCONDOR_TOKENS=$system_home/user
ENV
}

alone
if "$system_code/status.sh" >/dev/null 2>&1; then
  say "already up: $system_home/client.env"
  exit 0
fi
need_root
need_grid_user
tree
configuration
clients
pool
token
client_env
say "up: $system_home/client.env"
