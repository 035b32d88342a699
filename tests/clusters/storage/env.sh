# shellcheck shell=bash disable=SC2034 # used by the scripts that source it
# Settings of the storage; source it. This is the only place where a path or a port is decided.
#   GRIDPILOT_STORAGE_PORT  the first of sixteen neighbouring loopback ports (default 19700)
# The certificates are those of the DIRAC stack (../dirac), made here if they are not there yet: both trust one authority.
system_code=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
system=storage
# shellcheck source=../lib.sh
. "$system_code/../lib.sh"
storage_vo=labvo
storage_first_port=${GRIDPILOT_STORAGE_PORT:-19700}
export STORAGE_HOME=$system_home
export STORAGE_PORT_NEAR_ROOT=$storage_first_port           # XRootD, root://
export STORAGE_PORT_NEAR_HTTPS=$((storage_first_port + 1))  # the same server by https
export STORAGE_PORT_FAR_ROOT=$((storage_first_port + 2))    # a second XRootD
export STORAGE_PORT_FAR_HTTPS=$((storage_first_port + 3))
export STORAGE_PORT_WEBDAV=$((storage_first_port + 4))      # Apache, mod_dav and mod_gridsite
export STORAGE_PORT_ISSUER=$((storage_first_port + 5))      # in the name of the tokens' issuer; nobody listens there
export STORAGE_PORT_CATALOGUE=$((storage_first_port + 6))   # DIRAC's FileCatalog, dips
export STORAGE_PORT_CATALOGUE_HTTPS=$((storage_first_port + 7))
export STORAGE_PORT_DIPS_NEAR=$((storage_first_port + 8))   # DIRAC's StorageElement
export STORAGE_PORT_DIPS_FAR=$((storage_first_port + 9))
export STORAGE_PORT_RUCIO=$((storage_first_port + 10))
export STORAGE_PORT_NOBODY=$((storage_first_port + 11))     # of the element that is always down

STACK_HOME="${GRIDPILOT_CLUSTERS:-$HOME/.cache/gridpilot-clusters}/dirac"
export STACK_HOME
storage_certs=$STACK_HOME/certs
storage_venv=$system_cache/storage-venv
storage_python=$storage_venv/bin/python
file_servers=(near far webdav)
