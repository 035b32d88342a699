#!/usr/bin/env bash
# Run one of the scripts of ../dirac on this stack:   of_dirac.sh sweep.sh [ARGUMENT...]
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
exec "$stack_code/$1" "${@:2}"
