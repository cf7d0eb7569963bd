#!/usr/bin/env bash
# The whole product on one machine: three simulated machines, a broker (TLS 1.3, client certificates), the gateway, and a
# subscriber in the foreground. Ctrl-C ends all of it. With DEMO_SECONDS=N it ends by itself and gives a verdict.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
indusedge=$PWD/.build-release/release/indusedge
seconds=${DEMO_SECONDS:-}
export PATH="$PATH:/usr/sbin"

mkdir -p .build-demo
work=$(mktemp -d "$PWD/.build-demo/run.XXXXXX")
declare -A pid=()
interrupted=no

say() { printf 'demo: %s\n' "$*"; }

# Ends one child politely, and by force when it does not listen.
stop() {
    local child=${pid[$1]:-} waited=0
    [[ -n $child ]] || return 0
    unset "pid[$1]"
    kill -TERM "$child" 2>/dev/null
    while kill -0 "$child" 2>/dev/null; do
        if ((waited++ == 100)); then
            say "$1 does not end; killing it"
            kill -KILL "$child" 2>/dev/null
        fi
        sleep 0.1
    done
    wait "$child" 2>/dev/null
}

# The gateway goes before its broker, so that it can still say goodbye.
stop_all() {
    local name
    for name in watch gateway plant broker; do stop "$name"; done
}

finish() {
    local status=$1
    trap '' INT TERM HUP
    stop_all
    if [[ -t 1 ]]; then printf '\033[0m\033[?25h'; fi # the picture may have ended with colours on and the cursor off
    if [[ $status -eq 0 || $interrupted == yes ]]; then
        rm -rf "$work"
    else
        say "logs and data are kept in $work"
    fi
    exit "$status"
}

fail() {
    say "FAILED: $1"
    if [[ -n ${2:-} && -s $work/$2.log ]]; then
        say "the end of $2.log:"
        tail -n 20 "$work/$2.log" | sed 's/^/    /'
    fi
    finish 1
}

on_signal() {
    interrupted=yes
    printf '\n'
    say "stopping"
    if [[ -n $seconds ]]; then finish 130; fi
    finish 0
}
trap on_signal INT TERM HUP

start() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    pid[$name]=$!
}

alive() { kill -0 "${pid[$1]}" 2>/dev/null; }

# Waits until something accepts connections on a port of ours.
wait_for_port() {
    local name=$1 port=$2 tries
    for ((tries = 0; tries < 100; tries++)); do
        alive "$name" || fail "$name ended at its start" "$name"
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
        sleep 0.1
    done
    fail "$name does not listen on port $port" "$name"
}

free_ports() {
    python3 - "$1" <<'PYTHON'
import random, socket, sys
held = []
while len(held) < int(sys.argv[1]):
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", random.randrange(20000, 32000)))
        held.append(one)
    except OSError:
        one.close()
print(*(one.getsockname()[1] for one in held))
PYTHON
}

# Says what a finished demo must have shown and did not; silent when all of it was there.
shortcomings() {
    python3 - "$work/report.json" <<'PYTHON'
import json, sys
try:
    with open(sys.argv[1]) as file:
        report = json.load(file)
except (OSError, ValueError) as error:
    sys.exit(f"the subscriber left no report: {error}")
health = report.get("health", {})
missing = []
if not report.get("samples"):
    missing.append("no samples arrived at the subscriber")
if report.get("tls") != "TLSv1.3":
    missing.append(f"the subscriber's connection is {report.get('tls')}, expected TLSv1.3")
for machine in ("feed-pump", "cnc-spindle", "air-compressor"):
    lowest = health.get(machine, {}).get("min")
    if lowest is None:
        missing.append(f"no health score of {machine} arrived")
    elif machine == "feed-pump" and lowest >= 60:
        missing.append(f"the worn pump's health is {lowest:.0f} at its lowest, expected below 60")
    elif machine != "feed-pump" and lowest < 80:
        missing.append(f"the health of the sound {machine} fell to {lowest:.0f}, expected 80 or more")
print("; ".join(missing))
PYTHON
}

[[ -x $indusedge ]] || fail "$indusedge is missing; 'make demo' builds it"
[[ -z $seconds || $seconds =~ ^[1-9][0-9]*$ ]] || fail "DEMO_SECONDS is '$seconds', expected a whole number of seconds"

read -r pump_port spindle_port compressor_port broker_port <<<"$(free_ports 4)"
[[ -n $broker_port ]] || fail "no free ports found"
identity=$work/identity
data=$work/data

say "making certificates"
"$indusedge" identity create-dev "$identity" >"$work/identity.log" 2>&1 || fail "no development identity was made" identity

# In sed's replacement, & and the delimiter would have a meaning of their own.
escaped=$(printf '%s' "$identity" | sed 's/[&|\\]/\\&/g')
sed -e "s|@PORT@|$broker_port|; s|@IDENTITY@|$escaped|; s|@USER@|$(id -un)|" firmware-config/mosquitto/demo.conf >"$work/mosquitto.conf"
say "starting the broker on port $broker_port, and a feed pump, a CNC spindle and an air compressor on ports $pump_port, $spindle_port, $compressor_port"
start broker mosquitto -c "$work/mosquitto.conf"
start plant "$indusedge" simulate "feed-pump:$pump_port" "cnc-spindle:$spindle_port" "air-compressor:$compressor_port" --speed "${DEMO_SPEED:-1}" --faults "${DEMO_FAULTS:-demo}"
wait_for_port broker "$broker_port"
for port in "$pump_port" "$spindle_port" "$compressor_port"; do wait_for_port plant "$port"; done

say "starting the gateway"
export INDUS_FEED_PUMP_PORT=$pump_port INDUS_CNC_SPINDLE_PORT=$spindle_port INDUS_AIR_COMPRESSOR_PORT=$compressor_port
export INDUS_BROKER_PORT=$broker_port INDUS_IDENTITY=$identity INDUS_DATA=$data
start gateway "$indusedge" run firmware-config/demo/site.yaml

watch_options=(--broker "localhost:$broker_port" --identity "$identity" --site demo-plant --data "$data" --report "$work/report.json")
[[ -z $seconds ]] || watch_options+=(--seconds "$seconds")
"$indusedge" watch "${watch_options[@]}" </dev/null &
pid[watch]=$!

# Whichever ends first: the subscriber when its time is up, or something that should not have ended.
wait -n "${pid[watch]}" "${pid[gateway]}" "${pid[plant]}" "${pid[broker]}"
for name in gateway plant broker; do
    alive "$name" || fail "$name ended unexpectedly" "$name"
done
wait "${pid[watch]}"
watch_status=$?
unset 'pid[watch]'
[[ $watch_status -eq 0 ]] || fail "the subscriber ended with status $watch_status" gateway
[[ -n $seconds ]] || finish 0

stop_all
verdict=$(shortcomings 2>&1) || fail "$verdict" gateway
[[ -z $verdict ]] || fail "$verdict" gateway
if ! "$indusedge" ledger "$data" >"$work/ledger.log" 2>&1; then fail "the loss ledger does not balance" ledger; fi
say "samples arrived through TLS 1.3, the worn pump was found, the sound machines stayed healthy, the ledger balances"
finish 0
