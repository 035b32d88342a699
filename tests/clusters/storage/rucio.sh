# shellcheck shell=bash
# shellcheck disable=SC2154 # set in env.sh
# Rucio 41 servers on SQLite, of one VO and of two, with storage elements on the file servers; source it after env.sh.
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

rucio_configuration() { # NAME PORT
  export RUCIO_HOME=$system_home/work/$1 RUCIO_CONFIG=$system_home/work/$1/rucio.cfg
  mkdir -p "$RUCIO_HOME"
  filled rucio.cfg.in "s#@PORT@#$2#g; s#@NAME@#$1#" >"$RUCIO_CONFIG"
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

rucio_server() { # NAME PORT
  need_free_port "$1" "$2"
  start "$1" env -C "$RUCIO_HOME" "$rucio_python" "$system_code/rucio_serve.py" "$2"
  wait_for 90 Rucio answers "$2"
}

rucio_fill() { # [VO]
  RUCIO_VO=${1:-def} "$rucio_python" "$system_code/rucio_fill.py" 2>"$system_home/log/rucio-fill.log" ||
    die "Rucio could not be filled, see $system_home/log/rucio-fill.log"
}

rucio() {
  rucio_programs
  rucio_configuration rucio "$STORAGE_PORT_RUCIO"
  rucio_tables
  rucio_server rucio "$STORAGE_PORT_RUCIO"
  rucio_fill
}

# the same for two VOs, which clients know by names that Rucio maps to its own of three letters
rucio_vos() {
  rucio_programs
  rucio_configuration rucio_vos "$STORAGE_PORT_RUCIO_VOS"
  sed -i 's/^\[common\]$/&\nmulti_vo = True/' "$RUCIO_CONFIG"
  sed -i 's/^\[policy\]$/&\npackage-def = rucio_policy\npackage-lab = rucio_policy\npackage-oth = rucio_policy/' "$RUCIO_CONFIG"
  printf '[vo-map]\n%s = lab\nothervo = oth\n' "$storage_vo" >>"$RUCIO_CONFIG"
  rucio_tables
  "$rucio_python" "$system_code/rucio_make_vos.py" lab oth >"$system_home/log/rucio-vos.log" 2>&1 ||
    die "no VOs, see $system_home/log/rucio-vos.log"
  rucio_server rucio_vos "$STORAGE_PORT_RUCIO_VOS"
  rucio_fill "$storage_vo"
  rucio_fill othervo
}
