# shellcheck shell=bash disable=SC2154 # set in env.sh
# What is installed and made before the services of the stack start; source it after env.sh and processes.sh.

apt_packages() {
  local packages=() install alone="flock -o -w 900 /run/lock/gridpilot-apt"
  command -v mariadbd >/dev/null || packages+=(mariadb-server)
  command -v openssl >/dev/null || packages+=(openssl)
  command -v flock >/dev/null || packages+=(util-linux)
  # DIRAC's plug-ins for https and root:// are made with gfal2, which has no wheel
  compgen -G '/usr/lib/python3/dist-packages/gfal2*.so' >/dev/null ||
    packages+=(python3-gfal2 gfal2-plugin-file gfal2-plugin-http gfal2-plugin-xrootd)
  # the rest only builds wheels that PyPI does not have: M2Crypto, mysqlclient
  if [[ ! -e $STACK_HOME/venv.complete ]]; then
    command -v swig >/dev/null || packages+=(swig)
    command -v mariadb_config >/dev/null || packages+=(default-libmysqlclient-dev)
    command -v pkg-config >/dev/null || packages+=(pkg-config)
    command -v cc >/dev/null || packages+=(build-essential)
    [[ -e /usr/include/openssl/ssl.h ]] || packages+=(libssl-dev)
    python3.11 -c 'import ensurepip' 2>/dev/null || packages+=(python3.11-venv)
    python3.11 -c 'import pathlib, sysconfig; (pathlib.Path(sysconfig.get_path("include")) / "Python.h").stat()' \
      2>/dev/null || packages+=(python3.11-dev)
  fi
  [[ ${#packages[@]} -gt 0 ]] || return 0
  install="apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ${packages[*]}"
  [[ $(id -u) == 0 ]] || die "Debian packages are missing; as root: $install"
  say "$install"
  # apt's lock on its lists knows no waiting, and several systems may be brought up at the same time.
  # RUNLEVEL=1 asks invoke-rc.d not to start the packaged MariaDB: ours has its own files and port.
  { $alone apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 $alone $install; } >"$STACK_HOME/log/apt.log" 2>&1 ||
    die "apt-get failed, see $STACK_HOME/log/apt.log"
}

# what all releases share, and the release's own
pins() { LC_ALL=C sort -f "$stack_code/constraints.txt" "$stack_code/constraints-$STACK_RELEASE.txt"; }

python_packages() {
  pins | cmp -s - "$STACK_HOME/venv.complete" && return 0
  say "venv with the versions of constraints.txt and constraints-$STACK_RELEASE.txt"
  # --copies: DIRAC's JobAgent starts wrappers with realpath(sys.executable), which must stay in the venv
  rm -rf "$STACK_HOME/venv" "$STACK_HOME/venv.complete"
  python3.11 -m venv --copies "$STACK_HOME/venv"
  # --no-deps: the list is complete but for gfal2-python, of which Debian's module is used
  "$stack_python" -m pip install --no-deps -r <(pins) >"$STACK_HOME/log/pip.log" 2>&1 ||
    die "pip failed, see $STACK_HOME/log/pip.log"
  pins >"$STACK_HOME/venv.complete"
}

databases() {
  if [[ ! -d $STACK_HOME/mysql/mysql ]]; then
    say "initialising MariaDB"
    # a password for nobody: MariaDB's root is whoever runs this script, by the socket's peer credentials
    mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$STACK_HOME/mysql" --skip-test-db \
      --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" \
      >"$STACK_HOME/log/mariadb-install.log" 2>&1 || die "mariadb-install-db failed, see $STACK_HOME/log/mariadb-install.log"
  fi
  start mariadb
  ready mariadb
  "${stack_server[@]}" "$stack_python" "$stack_code/make_databases.py"
}

services() {
  pid_of configuration >/dev/null || "${stack_server[@]}" "$stack_python" "$stack_code/make_configuration.py"
  if has_process opensearch; then start opensearch && ready opensearch; fi
  start configuration
  ready configuration
  start mind
  ready mind # alone the first time: it makes the tables of the TaskQueueDB, and two makers at once fail
  local served=(dips tornado https_wms)
  [[ $STACK_RELEASE != 8.0 ]] || served=("${stack_dips[@]}")
  start "${served[@]}"
  ready "${served[@]}"
  "${stack_server[@]}" "$stack_python" "$stack_code/prepare.py"
  start optimizers task_queues
}

# The OptimizationMind prepares itself on its first job and loses any other that comes meanwhile: one job takes the hit.
warm_up() {
  client user upload-proxy "$STACK_HOME/certs/user" >/dev/null &
  client user2 upload-proxy "$STACK_HOME/certs/user2" >/dev/null
  wait $! || die "the proxy of labuser could not be uploaded"
  local job
  job=$(client user submit --jdl 'Executable = "/bin/true"; JobName = "warm-up";' | tr -dc 0-9)
  client user wait "$job" --status Waiting --timeout 60 >/dev/null
  client user delete "$job" >/dev/null
}
