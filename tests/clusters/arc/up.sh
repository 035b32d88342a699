#!/usr/bin/env bash
# Install and start a real ARC CE (A-REX with its REST service) on loopback and write client.env. Idempotent.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=certificates.sh
. "$system_code/certificates.sh"
# shellcheck source=../debian_tree.sh
. "$system_code/../debian_tree.sh"
[[ $# -eq 0 ]] || die "up.sh takes no argument, not: $* (settings are environment variables, see env.sh)"

# programs: where ARC's own files are, in arc_files
programs() {
  local packages=(nordugrid-arc-arex nordugrid-arc-plugins-needed)
  need_packages openssl curl
  if [[ -z $arc_suite ]]; then
    need_packages "${packages[@]}"
    arc_files=/usr/share/arc
  else
    need_tree "$arc_suite" "${packages[@]}" openssl
    tree_here "$arc_tree"
    arc_files=$arc_tree/usr/share/arc
  fi
}

batch_system() {
  case $arc_lrms in
    fork)
      arc_queue=fork arc_lrms_lines='lrms=fork'
      ;;
    slurm)
      local slurm_env="${system_home%/*}/slurm/client.env"
      [[ -s $slurm_env ]] || die "there is no $slurm_env: start tests/clusters/slurm/up.sh first"
      set -a
      # shellcheck source=/dev/null
      . "$slurm_env"
      set +a
      arc_queue=$(sinfo -h -o %R | head -1)
      [[ -n $arc_queue ]] || die "Slurm names no partition: is it up?"
      arc_lrms_lines="lrms=slurm $arc_queue\\nslurm_bin_path=$(dirname "$(command -v sbatch)")\\nslurm_wakeupperiod=2"
      ;;
  esac
}

configuration() {
  mkdir -p "$system_home"/{cache,control,session,tmp}
  chmod 755 "$system_home"/{cache,control,session,certificates,user}
  chmod 1777 "$system_home/tmp"
  sed -e "s#@HOME@#$system_home#g; s#@PORT@#$arc_port#g; s#@USER@#$arc_user_name#; s#@ISSUER@#$arc_issuer#" \
    -e "s#@LRMS@#$arc_lrms_lines#; s#@QUEUE@#$arc_queue#" "$system_code/arc.conf.in" >"$system_home/arc.conf"
  # else the start script computes 4096 bits of its own, minutes of a processor: take the named group of RFC 7919
  [[ -s $system_home/control/dhparam.pem ]] ||
    (umask 077 && openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe4096 \
      -out "$system_home/control/dhparam.pem" 2>>"$system_home/log/openssl.log")
  # the packaged start scripts have no setting for these: the address, and how often the status that REST shows is made
  sed 's#<tcp:Listen><tcp:Port>#<tcp:Listen><tcp:Interface>127.0.0.1</tcp:Interface><tcp:Port>#' \
    "$arc_files/arc-arex-ws-start" >"$system_home/ws-start"
  sed 's#<arex:gmconfig>#<arex:InfoproviderWakeupPeriod>1</arex:InfoproviderWakeupPeriod><arex:gmconfig>#' \
    "$arc_files/arc-arex-start" >"$system_home/arex-start"
  # how often the ends of fork jobs are looked for: 10 s, without a setting; and how soon it is seen that one has begun: 1 s
  sed 's#^sleep 10#sleep 1#' "$arc_files/scan-fork-job" >"$system_home/scan-fork-job"
  sed 's#^    sleep 1$#    sleep 0.1#' "$arc_files/submit-fork-job" >"$system_home/submit-fork-job"
  chmod 755 "$system_home"/{ws-start,arex-start,scan-fork-job,submit-fork-job}
}

service() {
  local in_its_tree=(env)
  [[ -z $arc_suite ]] || in_its_tree=(sh -c "$in_chroot" sh "$arc_tree" "$system_home" env "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
  need_free_port issuer "$arc_issuer_port"
  need_free_port ws "$arc_port"
  start issuer python3 "$system_code/issuer.py" "$arc_issuer" "$system_home"/authority/{host.pem,host.key} "$system_home/user"
  wait_for 20 "the token issuer" answers "$arc_issuer_port"
  chown griduser:grid "$system_home"/user/token*
  chmod 600 "$system_home"/user/token*
  # contained: jobs of the fork LRMS are its children
  # shellcheck disable=SC2016 # expanded by the inner shell
  start_contained arex "${in_its_tree[@]}" TMPDIR="$system_home/tmp" ARC_CONFIG="$system_home/arc.conf" \
    sh -c 'for name in scan submit; do mount --bind "$1/$name-fork-job" "/usr/share/arc/$name-fork-job" || exit; done
      exec "$1/arex-start" -f' sh "$system_home"
  start_contained ws "${in_its_tree[@]}" TMPDIR="$system_home/tmp" ARC_CONFIG="$system_home/arc.conf" "$system_home/ws-start" -f
  wait_for 60 "the REST service" rest info
}

# rest PATH: what griduser's proxy is answered
rest() {
  curl -sSf --noproxy '*' --cacert "$system_home/user/ca.pem" --cert "$system_home/user/proxy" \
    -H "Accept: application/json" "https://localhost:$arc_port/arex/rest/1.0/$1"
}

# what the package manager says of the daemon that runs
arc_version_there() {
  local root=/
  [[ -z $arc_suite ]] || root=$arc_tree
  echo "nordugrid-arc $(dpkg-query --root "$root" -W -f '${Version}' nordugrid-arc-arex)"
}

client_env() {
  cat >"$system_home/client.env" <<ENV
X509_CERT_DIR=$system_home/certificates
X509_USER_PROXY=$system_home/user/proxy
GRIDPILOT_SYSTEM_VERSION='$(arc_version_there)'
GRIDPILOT_ARC_CE=localhost
GRIDPILOT_ARC_PORT=$arc_port
GRIDPILOT_ARC_QUEUE=$arc_queue
GRIDPILOT_ARC_TOKEN=$system_home/user/token
ENV
}

alone
if "$system_code/status.sh" >/dev/null 2>&1; then
  say "already up: $system_home/client.env"
  exit 0
fi
need_root
need_grid_user
programs
batch_system
make_certificates
trust_authority
configuration
service
client_env
say "up: $system_home/client.env"
