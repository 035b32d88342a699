#!/bin/sh
# Make the project's own Python environment: set_up.sh DIRECTORY
# M2Crypto has no Linux wheel; it is built here, with swig from PyPI and OpenSSL's headers from the system.
set -eu
venv=$1
python=${PYTHON:-python3}

fail() {
    printf 'set-up: %s\n' "$*" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "there is no $python; install Python 3.11 or later, or name it: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V 2>&1); 3.11 or later is needed: make PYTHON=python3.11"
"$python" -c 'import venv, ensurepip' 2>/dev/null || need="${need:-} python3-venv"
command -v cc >/dev/null || need="${need:-} gcc"
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
[ -e "$header" ] || need="${need:-} python3-dev"
printf '#include <openssl/ssl.h>\n' | cc -E - >/dev/null 2>&1 || need="${need:-} libssl-dev"

if [ -n "${need:-}" ]; then
    line="apt-get install -y$need"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        printf 'set-up: %s\n' "$line"
        # shellcheck disable=SC2086 # a list of packages
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $need; } >/dev/null ||
            fail "could not install$need; try: $line"
    else
        fail "missing:$need; install with: sudo $line"
    fi
fi

printf 'set-up: Python environment in %s\n' "$venv"
rm -rf "$venv"
"$python" -m venv "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"
$pip install -c constraints.txt setuptools wheel swig
PATH="$PWD/$venv/bin:$PATH" $pip install -c constraints.txt --no-build-isolation M2Crypto
$pip install -c constraints.txt hatchling editables
$pip install -c constraints.txt --no-build-isolation --editable '.[local-wms,dev]'
# Compiled now, by the rewriter of assertions too, and not by each worker of the first `make test`; what fails is seen there.
"$venv/bin/python" -m pytest --collect-only -q >/dev/null 2>&1 || true
