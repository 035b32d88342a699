# shellcheck shell=bash
# shellcheck disable=SC2154 # set in env.sh
# DIRAC's FileCatalog and two of its StorageElements, with the database and the configuration of ../dirac, which must be up;
# source it after env.sh.
dirac_servers=(catalogue dips-near dips-far)

dirac() {
  local name
  [[ -s $STACK_HOME/endpoint.json ]] || die "there is no $STACK_HOME/endpoint.json: start tests/clusters/dirac/up.sh first"
  mkdir -p "$system_home"/store/{dips-near,dips-far}
  # what runs from before knows another configuration, database and authority
  joined || stop 5 "${dirac_servers[@]}"
  for name in "${dirac_servers[@]}"; do need_free_port "$name" "$(dirac_port "$name")"; done
  dirac_server catalogue DataManagement/FileCatalog
  dirac_server dips-near DataManagement/StorageElement
  dirac_server dips-far DataManagement/StorageElementFar
  for name in "${dirac_servers[@]}"; do wait_for 60 "$name" answers "$(dirac_port "$name")"; done
  dirac_client admin directories / /user /user/l/labuser /user/l/labuser2 /data >/dev/null
  cp "$STACK_HOME/run/configuration" "$system_home/work/joined"
}

# joined: to the DIRAC that runs now
joined() { cmp -s "$STACK_HOME/run/configuration" "$system_home/work/joined"; }

dirac_port() {
  case $1 in
    catalogue) echo "$STORAGE_PORT_CATALOGUE" ;;
    dips-near) echo "$STORAGE_PORT_DIPS_NEAR" ;;
    dips-far) echo "$STORAGE_PORT_DIPS_FAR" ;;
  esac
}

# in the environment of a server of ../dirac, but for the mark by which that one's down.sh knows its own
dirac_server() { # NAME SERVICE
  # shellcheck source=../dirac/env.sh
  (. "$system_code/../dirac/env.sh" && printf '%s\0' "${stack_server[@]}") >"$system_home/work/dirac-environment"
  local environment
  mapfile -d '' environment <"$system_home/work/dirac-environment"
  start "$1" env -C "$STACK_HOME/work" "${environment[@]}" env -u STACK_SERVER dirac-service "$2"
}

# dirac_client PROXY COMMAND...: data_client.py
dirac_client() {
  # shellcheck source=../dirac/env.sh
  (. "$system_code/../dirac/env.sh"
    "${stack_dirac[@]}" "DIRAC_ROOT_PATH=$STACK_HOME/client" "DIRACSYSCONFIG=$STACK_HOME/client/etc/dirac.cfg" \
      "PYTHONPATH=$STACK_HOME/gfal:$system_code/../dirac" "X509_USER_PROXY=$STACK_HOME/certs/proxy-$1.pem" \
      "$stack_python" "$system_code/data_client.py" "${@:2}")
}
