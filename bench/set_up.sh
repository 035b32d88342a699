#!/usr/bin/env bash
# Make the environments of the programs we measure ourselves against, each its own. Idempotent; needs PyPI.
#   GRIDPILOT_BENCH     where they live (default ~/.cache/gridpilot-bench)
#   GRIDPILOT_CLUSTERS  where tests/clusters/dirac/up.sh keeps its DIRAC, which is used if it is there
# One that cannot be installed is named with the reason in NAME.missing, and the others are made all the same.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bench="${GRIDPILOT_BENCH:-$HOME/.cache/gridpilot-bench}"
cluster="${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/dirac"
dirac_pins="$here/../tests/clusters/dirac/constraints"
python=${PYTHON:-python3.11}
mkdir -p "$bench"

# made NAME REQUIREMENTS...: a virtual environment with these, unless it has them already
made() {
  local name=$1 why; shift
  [[ "$(cat "$bench/$name/.complete" 2>/dev/null)" == "$*" ]] && { rm -f "$bench/$name.missing"; return 0; }
  printf '== %s\n' "$name" >&2
  rm -rf "${bench:?}/$name"
  if ! { "$python" -m venv "$bench/$name" && install "$name" "$@"; } >"$bench/$name.log" 2>&1; then
    why=$(grep -m1 -E '^(ERROR|error)' "$bench/$name.log" || tail -n1 "$bench/$name.log")
    printf '%s\n' "$why" | tee "$bench/$name.missing" >&2
    return 0
  fi
  printf '%s\n' "$*" >"$bench/$name/.complete"
  rm -f "$bench/$name.missing"
}

install() {
  local pip=("$bench/$1/bin/python" -m pip --disable-pip-version-check install); shift
  "${pip[@]}" "$@"
}

dirac() {
  if [[ -e $cluster/venv.complete ]]; then
    [[ -L $bench/dirac ]] || rm -rf "$bench/dirac"
    ln -sfn "$cluster/venv" "$bench/dirac"
    rm -f "$bench/dirac.missing"
    return 0
  fi
  [[ ! -L $bench/dirac ]] || rm "$bench/dirac"
  # Without its database client, which needs a C library: DIRAC only imports it here, and PyMySQL stands in under its
  # name. --no-deps: the list is complete but for gfal2-python, which needs a C++ library. M2Crypto has no wheel and is
  # built with swig, which is on PyPI.
  local pins="$bench/dirac.pins"
  cat "$dirac_pins.txt" "$dirac_pins-9.1.txt" | grep -v '^mysqlclient' >"$pins"
  made dirac --no-deps swig pymysql==1.2.4 -r "$pins"
  for site in "$bench"/dirac/lib/python3*/site-packages; do
    printf 'import sys\n\nimport pymysql\n\nsys.modules[__name__] = pymysql\n' >"$site/MySQLdb.py"
  done
}

made hyperqueue hyperqueue==0.27.0
made psij psij-python==0.9.11
dirac
