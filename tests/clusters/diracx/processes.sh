# shellcheck shell=bash disable=SC2154 # set in env.sh, used by the scripts that source this
# Start and watch what stands beside DIRAC's own services; source it after env.sh and ../dirac/processes.sh.

joined_processes=(s3 diracx sandboxes)

port_of_joined() {
  case $1 in
    s3) echo "$STACK_PORT_S3" ;;
    diracx) echo "$STACK_PORT_DIRACX" ;;
    sandboxes) echo "$STACK_PORT_SANDBOX_DIPS" ;;
  esac
}

# start_joined NAME...: launch what does not run yet, and wait until it accepts connections
start_joined() {
  local name port deadline
  for name in "$@"; do
    port=$(port_of_joined "$name")
    pid_of "$name" >/dev/null && continue
    if answers "$port"; then die "port $port, wanted by $name, is taken: set GRIDPILOT_DIRACX_PORT to another value"; fi
    say "starting $name"
    case $name in
      s3) launch "$name" env "STACK_SERVER=$STACK_HOME" "STACK_S3_CAPTURE=$STACK_HOME/s3_capture.jsonl" \
        "STACK_S3_FAULTS=$STACK_HOME/run/s3_faults.json" "$joined_python" "$joined_code/s3_double.py" "$STACK_PORT_S3" ;;
      sandboxes) launch "$name" "${stack_server[@]}" dirac-service WorkloadManagement/SandboxStore ;;
      diracx) ( set -a
        # shellcheck source=/dev/null
        . "$STACK_HOME/run/diracx.env"
        set +a
        launch "$name" env "STACK_SERVER=$STACK_HOME" "PYTHONPATH=$joined_code" "$joined_python" -m uvicorn --factory serve_diracx:app \
          --host 127.0.0.1 --port "$port" --ssl-keyfile "$STACK_HOME/certs/hostkey.pem" --ssl-certfile "$STACK_HOME/certs/hostcert.pem" ) ;;
    esac
    deadline=$((SECONDS + 90))
    until answers "$port"; do
      pid_of "$name" >/dev/null || { tail -20 "$STACK_HOME/log/$name.log" >&2; die "$name died, see $STACK_HOME/log/$name.log"; }
      ((SECONDS < deadline)) || die "$name does not listen on port $port after 90 s, see $STACK_HOME/log/$name.log"
      sleep 0.2
    done
    [[ $name != diracx ]] || until_ready "$deadline"
  done
}

# until_ready DEADLINE: DiracX reads its configuration when it is first asked for something, and is busy until then
until_ready() {
  until "$joined_python" - "$STACK_DIRACX_URL" "$STACK_HOME/certs/ca.pem" <<<'import ssl, sys, urllib.request as u
u.urlopen(sys.argv[1] + "/api/health/ready", timeout=5, context=ssl.create_default_context(cafile=sys.argv[2]))' 2>/dev/null; do
    ((SECONDS < $1)) || die "DiracX is not ready after 90 s, see $STACK_HOME/log/diracx.log"
    sleep 0.3
  done
}
