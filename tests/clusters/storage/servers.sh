# shellcheck shell=bash
# shellcheck disable=SC2154 # set in env.sh
# The servers that keep files: XRootD twice, Apache once; source it after env.sh.

programs() {
  need_packages openssl xrootd-server xrootd-server-plugins xrootd-client xrootd-scitokens-plugins apache2-bin gridsite \
    gfal2-util-scripts gfal2-plugin-xrootd gfal2-plugin-file python3-venv
  if [[ ! -e $storage_venv/complete ]]; then
    say "venv with cryptography"
    python3 -m venv "$storage_venv"
    "$storage_python" -m pip install -q cryptography==50.0.2 >"$system_home/log/pip.log" 2>&1 ||
      die "pip failed, see $system_home/log/pip.log"
    touch "$storage_venv/complete"
  fi
  need_loopback
}

# one authority for the DIRAC stack and the storage; servers of other users read copies
certificates() {
  mkdir -p "$storage_certs" "$system_home"/{etc,certificates,store,work/near,work/far}
  chmod 700 "$STACK_HOME"
  "$storage_python" "$system_code/../dirac/make_certificates.py"
  if ! cmp -s "$storage_certs/hostcert.pem" "$system_home/etc/hostcert.pem"; then
    stop 5 "${file_servers[@]}" # those that run trust another authority
    cp -L "$storage_certs"/certificates/* "$system_home/certificates/"
    install -m 644 "$storage_certs/hostcert.pem" "$storage_certs/ca.pem" "$system_home/etc/"
    install -m 400 "$storage_certs/hostkey.pem" "$system_home/etc/hostkey.pem"
    install -m 400 "$storage_certs/hostkey.pem" "$system_home/etc/hostkey-xrootd.pem"
  fi
  "$storage_python" "$system_code/credentials.py" "$storage_certs" "$system_home" "$STORAGE_PORT_ISSUER"
}

# belongs_to USER PATH...: where root starts a server that then runs as somebody else
belongs_to() {
  local user=$1; shift
  [[ $(id -u) != 0 ]] || chown -R "$user:" "$@"
}

# filled TEMPLATE SED_EXPRESSION...
filled() {
  local template=$1; shift
  sed -e "s#@HOME@#$system_home#g; s#@VO@#$storage_vo#g" "${@/#/-e}" "$system_code/$template"
}

xrootd() { # NAME ROOT_PORT HTTPS_PORT
  local as=() dn="/C=CH/O=gridpilot tests/CN=Lab" etc=$system_home/etc
  mkdir -p "$system_home/store/$1/$storage_vo/rucio" # Rucio expects the base folder of an element
  printf '"%s %s" %s\n' "$dn" User labuser "$dn" "User Two" labuser2 "$dn" Admin labadmin "$dn" Pilot labpilot >"$etc/gridmap"
  printf 'u %s /%s %s\n' labuser "$storage_vo" a labuser2 "$storage_vo" a labadmin "$storage_vo" a labpilot "$storage_vo" rl \
    xrootd "$storage_vo" a >"$etc/authdb"
  filled scitokens.cfg.in "s#@ISSUER@#$STORAGE_PORT_ISSUER#" >"$etc/scitokens.cfg"
  filled xrootd.cfg.in "s#@NAME@#$1#; s#@ROOT@#$2#; s#@HTTPS@#$3#" >"$etc/$1.cfg"
  belongs_to xrootd "$system_home/store/$1" "$system_home/work/$1" "$etc/hostkey-xrootd.pem"
  [[ $(id -u) != 0 ]] || as=(-R xrootd) # it refuses to run as root
  need_free_port "$1" "$2"
  need_free_port "$1" "$3"
  # it has no option for an address to listen on; -I v4, so that the library that keeps it on loopback sees every bind
  start "$1" env -C "$system_home/work/$1" LD_PRELOAD="$loopback" XDG_CACHE_HOME="$system_home/work/$1" \
    X509_CERT_DIR="$system_home/certificates" xrootd "${as[@]}" -I v4 -n "$1" -c "$etc/$1.cfg"
}

webdav() {
  local user group
  user=$(id -un) group=$(id -gn)
  [[ $user != root ]] || user=www-data group=www-data
  mkdir -p "$system_home"/{store/webdav/$storage_vo/rucio/user/labuser,work/webdav} # made by the client nowhere else
  belongs_to www-data "$system_home/store/webdav" "$system_home/work/webdav"
  filled httpd.conf.in "s#@PORT@#$STORAGE_PORT_WEBDAV#; s#@USER@#$user#; s#@GROUP@#$group#" >"$system_home/etc/httpd.conf"
  need_free_port webdav "$STORAGE_PORT_WEBDAV"
  rm -f "$system_home/work/webdav/httpd.pid" # of one that was killed: while its process is a zombie, Apache will not start
  start webdav /usr/sbin/apache2 -f "$system_home/etc/httpd.conf" -DFOREGROUND
}

servers() {
  local port
  xrootd near "$STORAGE_PORT_NEAR_ROOT" "$STORAGE_PORT_NEAR_HTTPS"
  xrootd far "$STORAGE_PORT_FAR_ROOT" "$STORAGE_PORT_FAR_HTTPS"
  webdav
  for port in "$STORAGE_PORT_NEAR_ROOT" "$STORAGE_PORT_NEAR_HTTPS" "$STORAGE_PORT_FAR_ROOT" "$STORAGE_PORT_FAR_HTTPS" \
    "$STORAGE_PORT_WEBDAV"; do wait_for 30 "the server on port $port" answers "$port"; done
}

# stop_wedged: end an XRootD that accepts connections and answers none. Version 5.5 now and then closes a descriptor of
# root:// twice ("Unable to close", in its log), and then another connection's, or its own, is gone.
stop_wedged() {
  local name port
  for name in near far; do
    [[ $name == near ]] && port=$STORAGE_PORT_NEAR_HTTPS || port=$STORAGE_PORT_FAR_HTTPS
    pid_of "$name" >/dev/null && answers "$port" || continue
    timeout 30 openssl s_client -connect "127.0.0.1:$port" </dev/null >/dev/null 2>&1 || stop 3 "$name"
  done
}
