#!/usr/bin/env bash
# Forget the client's settings; nothing of it runs between tests.
#   down.sh           keeps files and logs
#   down.sh --purge   forgets them too
set -euo pipefail
system=podman
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../container_image.sh
. "$(dirname "$0")/../container_image.sh"
# shellcheck source=pause.sh
. "$(dirname "$0")/pause.sh"

stop_pause
container_down "$@"
