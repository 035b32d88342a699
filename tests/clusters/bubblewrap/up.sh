#!/usr/bin/env bash
# See that bubblewrap is installed, make an image for it, and write client.env.
set -euo pipefail
system=bubblewrap
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../container_image.sh
. "$(dirname "$0")/../container_image.sh"

alone
need_packages bubblewrap
need_grid_user
need_container_image
runuser -u griduser -- bwrap --unshare-user --unshare-pid --ro-bind / / --proc /proc true ||
  die "bubblewrap cannot make user namespaces for griduser here"
printf '%s\n' "BWRAP=$(command -v bwrap)" "IMAGE=$container_image" >"$system_home/client.env"
say "up, $(bwrap --version): $system_home/client.env"
