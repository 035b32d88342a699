#!/bin/sh
# Make the project's own Python environment: set_up.sh DIRECTORY [developer]
# Without a word what a user needs; then, with `developer`, what `make test` needs on top.
set -eu
python=${PYTHON:-python3}

fail() {
    printf 'set-up: %s\n' "$*" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "there is no $python; install Python 3.11 or later, or name it: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V 2>&1); 3.11 or later is needed: make PYTHON=python3.11"
exec "$python" -B tools/set_up.py "$@"
