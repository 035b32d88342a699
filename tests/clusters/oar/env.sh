# shellcheck shell=bash disable=SC2034 # what is set here is used by the scripts that source it
# Settings of the OAR cluster; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_OAR_PORT  the first of three neighbouring loopback ports (default 19660)
system=oar
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
server_port=${GRIDPILOT_OAR_PORT:-19660}
ssh_port=$((server_port + 1))
database_port=$((server_port + 2))
configuration=/etc/oar/oar.conf                    # its commands are setuid and read no other
pristine=/usr/share/oar/oar-common/oar.conf
postgres_bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)

as_oar() { runuser -u oar -- "$@"; }
sql() { runuser -u postgres -- psql -q -h "$system_home/database_run" -p "$database_port" "$@"; }
