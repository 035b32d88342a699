#!/usr/bin/env bash
# Say which version starts, and whether client.env is there; exit status 0 only if it is.
set -euo pipefail
system=podman
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../container_image.sh
. "$(dirname "$0")/../container_image.sh"

container_status podman --version
