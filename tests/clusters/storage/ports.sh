# shellcheck shell=bash
# The ports of the storage; source it. The DIRAC stack needs them too, for its configuration names the storage.
#   GRIDPILOT_STORAGE_PORT  the first of sixteen neighbouring loopback ports (default 19700)
storage_first_port=${GRIDPILOT_STORAGE_PORT:-19700}
export STORAGE_PORT_NEAR_ROOT=$storage_first_port           # XRootD, root://
export STORAGE_PORT_NEAR_HTTPS=$((storage_first_port + 1))  # the same server by https
export STORAGE_PORT_FAR_ROOT=$((storage_first_port + 2))    # a second XRootD
export STORAGE_PORT_FAR_HTTPS=$((storage_first_port + 3))
export STORAGE_PORT_WEBDAV=$((storage_first_port + 4))      # Apache, mod_dav and mod_gridsite
export STORAGE_PORT_ISSUER=$((storage_first_port + 5))      # in the name of the tokens' issuer; nobody listens there
export STORAGE_PORT_CATALOGUE=$((storage_first_port + 6))   # DIRAC's FileCatalog (dips)
export STORAGE_PORT_DIPS_NEAR=$((storage_first_port + 7))   # DIRAC's StorageElement
export STORAGE_PORT_DIPS_FAR=$((storage_first_port + 8))
export STORAGE_PORT_RUCIO=$((storage_first_port + 9))
export STORAGE_PORT_RUCIO_VOS=$((storage_first_port + 11)) # a Rucio server of several VOs
export STORAGE_PORT_NOBODY=$((storage_first_port + 10))     # of the element that is always down
