# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Which SSH servers the scripts work on; source it.
#   SSH_BATCH  a started batch system (slurm, slurm-24.11-noacct, grid_engine …) whose clients' environment the servers
#              give to every session; without it the servers are those of a plain host
# Every value has its own folder and ports, so that several run side by side.
ssh_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ssh_batch=${SSH_BATCH:-}
system=ssh${ssh_batch:+-$ssh_batch}
# shellcheck source=../lib.sh
. "$ssh_code/../lib.sh"
# open: as usual. jump: only forwards to the others. narrow: one session per connection. noisy: a slow, talkative login.
# csh: a login shell that is not POSIX's.
servers=(open jump narrow noisy csh)
