# shellcheck shell=bash
# shellcheck disable=SC2154 # set in env.sh
# The throw-away authority and what it signs; source after env.sh.
#   authority/   CA, host certificate; root only     certificates/  the hashed directory that services and clients trust
#   user/        certificate, key, proxies and tokens of griduser, and those of a stranger nobody has let in
arc_user_name="/DC=org/DC=gridpilot/CN=Grid User"

make_certificates() {
  mkdir -p "$system_home"/{authority,certificates,user}
  chmod 700 "$system_home/authority"
  if [[ ! -s $system_home/authority/complete ]]; then
    (cd "$system_home/authority" && make_authority && sign host "/DC=org/DC=gridpilot/CN=localhost" \
      "subjectAltName=DNS:localhost,DNS:$(hostname -s),IP:127.0.0.1
extendedKeyUsage=serverAuth,clientAuth" && sign user "$arc_user_name" "extendedKeyUsage=clientAuth" &&
      sign stranger "/DC=org/DC=gridpilot/CN=Stranger" "extendedKeyUsage=clientAuth" && date >complete) \
      >"$system_home/log/openssl.log" 2>&1 || die "no certificates, see $system_home/log/openssl.log"
  fi
  hand_to_users
}

make_authority() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -sha256 -keyout ca.key -out ca.pem -subj "$arc_authority" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
  local hash
  for hash in $(openssl x509 -noout -subject_hash -subject_hash_old -in ca.pem); do
    cp ca.pem "$system_home/certificates/$hash.0"
    cat >"$system_home/certificates/$hash.signing_policy" <<POLICY
access_id_CA X509 '$arc_authority'
pos_rights globus CA:sign
cond_subjects globus '"/DC=org/DC=gridpilot/*"'
POLICY
  done
}

# sign NAME SUBJECT EXTENSIONS: NAME.key and NAME.pem
sign() {
  openssl req -newkey rsa:2048 -nodes -sha256 -keyout "$1.key" -out "$1.csr" -subj "$2"
  openssl x509 -req -days 825 -sha256 -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$1.pem" \
    -extfile <(printf '%s\nkeyUsage=critical,digitalSignature,keyEncipherment\n' "$3")
}

# make_proxy NAME DAYS OUT: an RFC 3820 proxy of a certificate in authority/
make_proxy() {
  local serial=$RANDOM$RANDOM aside subject
  aside=$(mktemp -d)
  subject=$(openssl x509 -in "$1.pem" -noout -subject -nameopt compat | sed 's/^subject= *//')
  openssl req -newkey rsa:2048 -nodes -sha256 -keyout "$aside/key" -out "$aside/csr" -subj "$subject/CN=$serial" 2>/dev/null
  openssl x509 -req -days "$2" -sha256 -in "$aside/csr" -CA "$1.pem" -CAkey "$1.key" -set_serial "$serial" \
    -out "$aside/pem" -extfile <(printf '%s\n' keyUsage=critical,digitalSignature,keyEncipherment \
    proxyCertInfo=critical,language:id-ppl-inheritAll) 2>/dev/null
  cat "$aside/pem" "$aside/key" "$1.pem" >"$3"
  rm -r "$aside"
}

# what griduser holds; proxies are new at each start
hand_to_users() {
  (cd "$system_home/authority" && cp ca.pem ../user/ca.pem && make_proxy user 7 ../user/proxy &&
    make_proxy stranger 7 ../user/proxy.stranger && cp user.pem ../user/usercert.pem && cp user.key ../user/userkey.pem)
  chown -R griduser:grid "$system_home/user"
  chmod 600 "$system_home"/user/*
  chmod 644 "$system_home"/user/*.pem && chmod 400 "$system_home/user/userkey.pem"
}

# A-REX checks the https certificate of a token's issuer against this directory only, whatever x509_cert_dir says
trusted="${arc_suite:+$arc_tree}/etc/grid-security/certificates"

trust_authority() {
  install -d "$trusted"
  cp --remove-destination "$system_home"/certificates/* "$trusted/"
}

forget_authority() {
  local file
  for file in "$system_home"/certificates/*; do rm -f "$trusted/${file##*/}"; done
}
