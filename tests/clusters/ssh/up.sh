#!/usr/bin/env bash
# Start SSH servers on 127.0.0.1 for griduser, with keys of their own, and write client.env and the ssh_config that it
# names. Idempotent. Settings are environment variables, see settings.sh.
set -euo pipefail
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see settings.sh)"

keys() {
  mkdir -p "$system_home"/{keys,etc}
  local kind
  for kind in host other_host client; do
    [[ -s $system_home/keys/$kind ]] || ssh-keygen -q -t ed25519 -N '' -C "gridpilot $kind" -f "$system_home/keys/$kind"
  done
  chown griduser: "$system_home/keys/client"
  install -m 644 "$system_home/keys/client.pub" "$system_home/etc/authorized"
}

# first_port: the first of five neighbouring free loopback ports, the same one every time for this system
first_port() {
  local port=$((12000 + $(cksum <<<"$system_home" | cut -d' ' -f1) % 400 * 10)) i free
  if [[ -s $system_home/first_port ]]; then cat "$system_home/first_port"; return; fi
  for (( ; port < 17000; port += 10)); do
    free=1
    for i in {0..4}; do if answers $((port + i)); then free=0; fi; done
    if [[ $free == 1 ]]; then echo "$port" | tee "$system_home/first_port"; return; fi
  done
  die "no five neighbouring ports are free on 127.0.0.1 between 12000 and 17000"
}

server_config() {
  local name=$1 port=$2 sessions=50 startups=100
  if [[ $name == narrow ]]; then sessions=1 startups=2; fi
  cat <<CONF
ListenAddress 127.0.0.1
Port $port
HostKey $system_home/keys/host
PidFile none
AuthorizedKeysFile $system_home/etc/authorized
AllowUsers griduser
AuthenticationMethods publickey
UsePAM no
StrictModes no
MaxSessions $sessions
MaxStartups $startups
Subsystem sftp internal-sftp
CONF
  case $name in
    jump) printf '%s\n' 'PermitTTY no' 'ForceCommand echo "this host only forwards" >&2; exit 1' ;;
    noisy) printf '%s\n' "Banner $system_home/etc/banner" "ForceCommand $system_home/etc/noisy_login" ;;
    csh) printf '%s\n' "ForceCommand exec /bin/tcsh -c \"\$SSH_ORIGINAL_COMMAND\"" ;;
  esac
  if [[ -n $ssh_batch ]]; then session_environment; fi
}

session_environment() {
  local client_env=${system_home%/*}/$ssh_batch/client.env
  [[ -s $client_env ]] || die "SSH_BATCH=$ssh_batch is not up: there is no $client_env"
  printf 'SetEnv'
  while read -r line; do printf ' "%s"' "$line"; done <"$client_env"
  echo
}

noisy_login() {
  echo 'Only for authorised users. All is recorded.' >"$system_home/etc/banner"
  cat >"$system_home/etc/noisy_login" <<'LOGIN'
#!/bin/sh
# what a careless .bashrc does to every command
sleep 0.5
echo '*** Welcome to the cluster. Next maintenance: never. ***'
printf '\033[32mquota: 1 of 10 GB\033[0m\n'
echo 'module: command not found' >&2
exec sh -c "${SSH_ORIGINAL_COMMAND:-exit}"
LOGIN
  chmod 755 "$system_home/etc/noisy_login"
}

# client_config ALIAS SERVER KNOWN_HOSTS [LINE]
client_config() {
  cat <<CONF
Host $1
  HostName 127.0.0.1
  Port $(port_of "$2")
  User griduser
  IdentityFile $system_home/keys/client
  IdentitiesOnly yes
  UserKnownHostsFile $system_home/etc/$3
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  ${4:-}
CONF
}

port_of() {
  local i
  for i in "${!servers[@]}"; do if [[ ${servers[i]} == "$1" ]]; then echo $((port + i)); fi; done
}

client_files() {
  local name
  for name in "${servers[@]}"; do
    echo "[127.0.0.1]:$(port_of "$name") $(cut -d' ' -f1,2 "$system_home/keys/host.pub")"
  done >"$system_home/etc/known_hosts"
  sed "s#ssh-ed25519 .*#$(cut -d' ' -f1,2 "$system_home/keys/other_host.pub")#" \
    "$system_home/etc/known_hosts" >"$system_home/etc/changed_hosts"
  {
    client_config gridpilot-open open known_hosts
    client_config gridpilot-jump jump known_hosts
    client_config gridpilot-behind open known_hosts 'ProxyJump gridpilot-jump'
    client_config gridpilot-narrow narrow known_hosts
    client_config gridpilot-noisy noisy known_hosts
    client_config gridpilot-csh csh known_hosts
    client_config gridpilot-changed open changed_hosts
  } >"$system_home/ssh_config"
  cat >"$system_home/client.env" <<ENV
SSH_CONFIG=$system_home/ssh_config
SSH_HOST=127.0.0.1
SSH_PORT=$(port_of open)
SSH_USER=griduser
SSH_KEY=$system_home/keys/client
SSH_KNOWN_HOSTS=$system_home/etc/known_hosts
ENV
}

# listens NAME: start it if it does not run. A port that somebody's connection has at this moment is free a moment later.
listens() {
  start "$1" /usr/sbin/sshd -D -e -f "$system_home/etc/$1"
  answers "$(port_of "$1")"
}

alone
if "$ssh_code/status.sh" >/dev/null 2>&1; then
  say "already up: $system_home/client.env"
  exit 0
fi
need_root
need_packages openssh-server openssh-client openssh-sftp-server tcsh
need_grid_user
usermod -p '*' griduser # what useradd leaves, "!", is a locked account for an sshd without PAM, which then refuses keys
mkdir -p /run/sshd
keys
port=$(first_port)
noisy_login
for name in "${servers[@]}"; do
  server_config "$name" "$(port_of "$name")" >"$system_home/etc/$name"
  need_free_port "$name" "$(port_of "$name")"
done
for name in "${servers[@]}"; do wait_for 90 "$name" listens "$name"; done
client_files
say "up: $system_home/client.env"
