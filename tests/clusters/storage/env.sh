# shellcheck shell=bash disable=SC2034 # used by the scripts that source it
# Settings of the storage; source it. This is the only place where a path is decided, ports.sh for ports.
# The certificates are those of the DIRAC stack (../dirac), made here if they are not there yet: both trust one authority.
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
system=storage
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
storage_vo=labvo
# shellcheck source=ports.sh
. "$system_code/ports.sh"
export STORAGE_HOME=$system_home
STACK_HOME="${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/dirac"
export STACK_HOME
storage_certs=$STACK_HOME/certs
storage_venv=$system_cache/storage-venv
storage_python=$storage_venv/bin/python
export STORAGE_CACHE=$system_cache
file_servers=(near far webdav)
