#!/usr/bin/env bash
# Let DIRAC delete its empty task queues now, as it does by itself some five minutes after their last job.
# The Matcher looks at ten queues at a time, empty ones among them: after a run with many kinds of jobs the next
# agent would be told that there is no match, and would wait longer and longer.
set -euo pipefail
# shellcheck source=env.sh
. "$(dirname "$0")/env.sh"
"${stack_server[@]}" "$stack_python" "$stack_code/sweep.py"
