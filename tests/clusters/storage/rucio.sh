# shellcheck shell=bash
# shellcheck disable=SC2154 # set in env.sh
# A Rucio 41 server on SQLite with three storage elements on the file servers; source it after env.sh.
# Its tables take half a minute: they are kept below ~/.cache and copied.
rucio_venv=$system_cache/rucio-venv
rucio_python=$rucio_venv/bin/python

rucio_programs() {
  cmp -s "$system_code/rucio_constraints.txt" "$rucio_venv/complete" && return 0
  need_packages python3-venv
  say "venv with the versions of rucio_constraints.txt"
  rm -rf "$rucio_venv" "$system_cache/rucio.db"
  python3 -m venv "$rucio_venv"
  "$rucio_python" -m pip install --no-deps -r "$system_code/rucio_constraints.txt" >"$system_home/log/rucio-pip.log" 2>&1 ||
    die "pip failed, see $system_home/log/rucio-pip.log"
  cp "$system_code/rucio_constraints.txt" "$rucio_venv/complete"
}

rucio_configuration() {
  export RUCIO_HOME=$system_home/work/rucio RUCIO_CONFIG=$system_home/work/rucio/rucio.cfg
  mkdir -p "$RUCIO_HOME"
  filled rucio.cfg.in "s#@PORT@#$STORAGE_PORT_RUCIO#g" >"$RUCIO_CONFIG"
  filled alembic.ini.in >"$RUCIO_HOME/alembic.ini"
}

rucio_tables() {
  [[ ! -s $RUCIO_HOME/rucio.db ]] || return 0
  if [[ ! -s $system_cache/rucio.db ]]; then
    say "Rucio's tables"
    "$rucio_python" "$system_code/rucio_tables.py" >"$system_home/log/rucio-tables.log" 2>&1 ||
      die "no tables, see $system_home/log/rucio-tables.log"
    cp "$RUCIO_HOME/rucio.db" "$system_cache/rucio.db.new"
    mv "$system_cache/rucio.db.new" "$system_cache/rucio.db"
  fi
  cp "$system_cache/rucio.db" "$RUCIO_HOME/rucio.db"
}

rucio() {
  rucio_programs
  rucio_configuration
  rucio_tables
  need_free_port rucio "$STORAGE_PORT_RUCIO"
  start rucio env -C "$RUCIO_HOME" "$rucio_python" "$system_code/rucio_serve.py" "$STORAGE_PORT_RUCIO"
  wait_for 90 Rucio answers "$STORAGE_PORT_RUCIO"
  "$rucio_python" "$system_code/rucio_fill.py" 2>"$system_home/log/rucio-fill.log" ||
    die "Rucio could not be filled, see $system_home/log/rucio-fill.log"
}
