#!/usr/bin/env bash
# Stop the joined stack, exactly what up.sh started, and check that nothing is left.
#   down.sh            all of it; keeps databases, certificates, objects and logs
#   down.sh NAME...    only these, as status.sh names them; up.sh starts them again
#   down.sh --purge    forgets them too; the virtual environments stay, they are what takes long to make
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
# shellcheck source=../dirac/processes.sh
. "$stack_code/processes.sh"
# shellcheck source=processes.sh
. "$joined_code/processes.sh"
alone
if [[ $# -gt 0 && $1 != --purge ]]; then
  stop 3 "$@"
  exit 0
fi
rm -f "$STACK_HOME/endpoint.json"
stop 3 sandboxes diracx s3
exec 9>&- # DIRAC's part takes the lock itself
"$stack_code/down.sh" "$@"
[[ ${1:-} != --purge ]] || rm -rf "${STACK_HOME:?}"/{diracx-cs,diracx_capture.jsonl,s3_capture.jsonl}
