#!/usr/bin/env bash
# OAR's question before it starts a job, quicker than a login: which of these nodes do not answer? ping_nodes.sh PORT NODE...
port=$1; shift
for node in "$@"; do
  (exec 3<>"/dev/tcp/$node/$port") 2>/dev/null || echo "$node" >&2
done
