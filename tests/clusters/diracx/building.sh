# shellcheck shell=bash disable=SC2154 # set in env.sh
# What DiracX needs before it starts; source it after processes.sh.

# The same packages as ../dirac's stack: one virtual environment for both, whoever made it.
shared_packages() {
  local other="$joined_clusters/dirac"
  if [[ ! -e $STACK_HOME/venv.complete && -e $other/venv.complete ]] && pins | cmp -s - "$other/venv.complete"; then
    ln -sfn "$other/venv" "$STACK_HOME/venv"
    cp "$other/venv.complete" "$STACK_HOME/venv.complete"
  fi
  python_packages
}

diracx_packages() {
  cmp -s "$joined_code/constraints.txt" "$STACK_HOME/diracx-venv.complete" && return 0
  say "venv of DiracX"
  rm -rf "$STACK_HOME/diracx-venv" "$STACK_HOME/diracx-venv.complete"
  python3.11 -m venv "$STACK_HOME/diracx-venv"
  "$joined_python" -m pip install --no-deps -r "$joined_code/constraints.txt" >"$STACK_HOME/log/pip-diracx.log" 2>&1 ||
    die "pip failed, see $STACK_HOME/log/pip-diracx.log"
  cp "$joined_code/constraints.txt" "$STACK_HOME/diracx-venv.complete"
}

# Keys that both sides know: DIRAC's services the one, DiracX its hash; and those that DiracX signs with.
secrets() {
  local run=$STACK_HOME/run
  [[ -s $run/jwks.json ]] || "$joined_python" -m diracx.logic rotate-jwk --jwks-path "$run/jwks.json" >/dev/null 2>&1
  [[ -s $run/state.key && -s $run/legacy.key ]] || "$joined_python" "$joined_code/make_keys.py"
}

# What an installation runs every few minutes: DIRAC's configuration becomes DiracX's, a git repository.
cs_sync() {
  local place=$STACK_HOME/diracx-cs who=(-c user.name=nobody -c user.email=nobody@localhost)
  [[ -d $place/.git ]] || git init -q -b master "$place"
  DIRAC_COMPAT_ENABLE_CS_CONVERSION=true "$STACK_HOME/diracx-venv/bin/dirac" internal legacy cs-sync \
    "$STACK_HOME/server/etc/LabCS.cfg" "$place/default.yml" >"$STACK_HOME/log/cs-sync.log" 2>&1 ||
    { tail -20 "$STACK_HOME/log/cs-sync.log" >&2; die "cs-sync failed"; }
  git -C "$place" add default.yml
  git -C "$place" diff --cached --quiet || git -C "$place" "${who[@]}" commit -q -m "Converted"
}

# Settings of DiracX: DIRAC's own databases but for two that DIRAC has not, its index of parameters, the S3 double.
diracx_settings() {
  local name run=$STACK_HOME/run base="mysql+aiomysql://Dirac:Dirac@127.0.0.1:$STACK_PORT_DATABASE"
  {
    for name in JobDB JobLoggingDB TaskQueueDB SandboxMetadataDB PilotAgentsDB ResourceStatusDB; do
      echo "DIRACX_DB_URL_${name^^}=$base/$name"
    done
    echo "DIRACX_DB_URL_AUTHDB=$base/DiracXAuthDB"
    echo "DIRACX_DB_URL_TRANSFORMATIONDB=$base/DiracXTransformationDB"
    cat <<END
DIRACX_OS_DB_JOBPARAMETERSDB='{"hosts": ["http://127.0.0.1:$STACK_PORT_OPENSEARCH"]}'
DIRACX_CONFIG_BACKEND_URL=git+file://$STACK_HOME/diracx-cs
DIRACX_SERVICE_AUTH_TOKEN_KEYSTORE=file://$run/jwks.json
DIRACX_SERVICE_AUTH_STATE_KEY=$(<"$run/state.key")
DIRACX_SERVICE_AUTH_TOKEN_ISSUER=$STACK_DIRACX_URL
DIRACX_SERVICE_AUTH_ALLOWED_REDIRECTS='["$STACK_DIRACX_URL/api/docs/oauth2-redirect"]'
DIRACX_LEGACY_EXCHANGE_HASHED_API_KEY=$(<"$run/legacy.hash")
DIRACX_SANDBOX_STORE_BUCKET_NAME=sandboxes
DIRACX_SANDBOX_STORE_AUTO_CREATE_BUCKET=true
DIRACX_SANDBOX_STORE_SE_NAME=LabSandboxSE
DIRACX_SANDBOX_STORE_S3_CLIENT_KWARGS='{"endpoint_url": "http://127.0.0.1:$STACK_PORT_S3", "aws_access_key_id": "testing", "aws_secret_access_key": "testing"}'
STACK_DIRACX_CAPTURE=$STACK_HOME/diracx_capture.jsonl
STACK_DIRACX_FAULTS=$run/diracx_faults.json
END
    cat "$run/overrides.env" 2>/dev/null || true # of a test: the life of tokens and URLs
  } >"$run/diracx.env"
}

# DiracX makes tables for its own databases only; in DIRAC's, DIRAC has made them.
diracx_databases() {
  local own=(DiracXAuthDB DiracXTransformationDB) name
  [[ ! -e $STACK_HOME/run/diracx-tables ]] || return 0
  for name in "${own[@]}"; do
    echo "CREATE DATABASE IF NOT EXISTS \`$name\`; GRANT ALL ON \`$name\`.* TO 'Dirac'@'localhost', 'Dirac'@'127.0.0.1';"
  done | mariadb --no-defaults --socket="$STACK_HOME/run/mysqld.sock"
  ( set -a
    # shellcheck source=/dev/null
    . "$STACK_HOME/run/diracx.env"
    set +a
    unset DIRACX_DB_URL_{JOBDB,JOBLOGGINGDB,TASKQUEUEDB,SANDBOXMETADATADB,PILOTAGENTSDB,RESOURCESTATUSDB}
    "$joined_python" -m diracx.db init-sql && "$joined_python" -m diracx.db init-os ) >"$STACK_HOME/log/diracx-db.log" 2>&1 ||
    die "DiracX's tables could not be made, see $STACK_HOME/log/diracx-db.log"
  touch "$STACK_HOME/run/diracx-tables"
}

configuration() {
  "${stack_server[@]}" "$stack_python" "$stack_code/make_configuration.py"
  "${stack_server[@]}" "PYTHONPATH=$stack_code" "$stack_python" "$joined_code/join.py" "$@"
}
