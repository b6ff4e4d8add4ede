#!/usr/bin/env bash
# Builds Barnabas, starts a small cluster with traffic on it and opens the console.
#
#   conf/demo.sh              build, start, stream, show; everything is gone again when it ends
#
# Without a terminal on stdin and stdout it prints snapshots of overview, partitions and groups, and ends.
set -u
cd "$(dirname "$0")/.." || exit 1
. conf/packages.sh

WORK=
PIDS=()
say() { printf '%s\n' "$*"; }

cleanup() {
    trap - EXIT INT TERM HUP
    local pid
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do kill "$pid" 2>/dev/null; done
    for pid in ${PIDS[@]+"${PIDS[@]}"}; do wait "$pid" 2>/dev/null; done
    [ -n "$WORK" ] && rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

build() {
    say "Building the release preset (the first time takes a minute or two)"
    if ! cmake --preset release >"$WORK/configure.log" 2>&1; then
        cat "$WORK/configure.log" >&2
        exit 1
    fi
    cmake --build --preset release --target barnabasd barnabas || exit 1
}

# The process that listens on a port of ours, as "name (pid N)"; empty when nobody does.
holder_of() {
    local line
    line=$(ss -Hltnp "sport = :$1" 2>/dev/null | head -n 1)
    [ -n "$line" ] || return 0
    case $line in
    *users:*) printf '%s\n' "$line" | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' ;;
    *) printf 'another process\n' ;;
    esac
}

# The first block of ports from 9092 on in which client and controller port are free.
choose_ports() {
    local base=9092 holder port
    while [ "$base" -lt 10092 ]; do
        holder=
        for port in "$base" "$((base + 1))"; do
            [ -n "$holder" ] || holder=$(holder_of "$port")
        done
        if [ -z "$holder" ]; then
            PORT=$base
            CONTROLLER_PORT=$((base + 1))
            return
        fi
        say "Port $base or $((base + 1)) is in use by $holder; trying the next block"
        base=$((base + 10))
    done
    say "No free block of ports between 9092 and 10092" >&2
    exit 1
}

start_broker() {
    build/release/broker/barnabasd --config conf/demo/broker.ini --data-dir "$WORK/data" \
        --set "listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$CONTROLLER_PORT" \
        --set controller.listener.names=CONTROLLER \
        --set "controller.quorum.voters=1@127.0.0.1:$CONTROLLER_PORT" \
        >"$WORK/broker.out" 2>"$WORK/broker.log" &
    PIDS+=("$!")
    local pid=$! tries=0
    until grep -q '^address' "$WORK/broker.out" 2>/dev/null; do
        tries=$((tries + 1))
        if ! kill -0 "$pid" 2>/dev/null || [ "$tries" -gt 200 ]; then
            say "The broker did not start:" >&2
            tail -n 5 "$WORK/broker.log" >&2
            exit 1
        fi
        sleep 0.05
    done
    cat "$WORK/broker.out"
}

# Lines of this project's own text, for ever, some hundred a second.
stream() {
    while :; do
        for file in README.md LICENSE broker/ARCHITECTURE.md; do
            grep -v '^[[:space:]]*$' "$file"
        done | while IFS= read -r line; do
            printf '%s\n' "$line"
            count=$(((${count:-0} + 1) % 20))
            [ "$count" -ne 0 ] || sleep 0.1
        done
    done
}

start_traffic() {
    # A process substitution's pid cannot be waited for by name in every shell: a named pipe can.
    mkfifo "$WORK/text"
    stream >"$WORK/text" 2>/dev/null &
    PIDS+=("$!")
    kcat -P -b "127.0.0.1:$PORT" -t letters -X enable.idempotence=true -X linger.ms=50 \
        -X sticky.partitioning.linger.ms=0 <"$WORK/text" >"$WORK/producer.log" 2>&1 &
    PIDS+=("$!")
    local member
    for member in 1 2; do
        kcat -b "127.0.0.1:$PORT" -X auto.commit.interval.ms=500 -X auto.offset.reset=earliest \
            -X "client.id=reader-$member" -G readers letters >/dev/null 2>"$WORK/reader-$member.log" &
        PIDS+=("$!")
    done
}

console() { build/release/console/barnabas -b "127.0.0.1:$PORT" "$@"; }

# Until the group has both members, each with partitions, and has committed.
wait_for_group() {
    local tries=0
    until console --once groups --format json 2>/dev/null | python3 -c '
import json, sys
groups = [g for g in json.load(sys.stdin) if g["group"] == "readers"]
ok = groups and groups[0]["state"] == "Stable" and len(groups[0]["members"]) == 2
ok = ok and all(m["partitions"] for m in groups[0]["members"])
ok = ok and len([o for o in groups[0]["offsets"] if o["committed"] is not None]) == 6
sys.exit(0 if ok else 1)'; do
        tries=$((tries + 1))
        if [ "$tries" -gt 120 ]; then
            say "The group did not settle within a minute; the members said:" >&2
            tail -n 5 "$WORK"/reader-*.log "$WORK/producer.log" >&2
            exit 1
        fi
        sleep 0.5
    done
}

packages_need $PACKAGES_BUILD $PACKAGES_DEMO || exit 2
WORK=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-demo.XXXXXX") || exit 1
build
choose_ports
start_broker
start_traffic
if [ -t 0 ] && [ -t 1 ]; then
    console
else
    wait_for_group
    say; console --once overview || exit 1
    say; console --once partitions || exit 1
    say; console --once groups || exit 1
fi
exit 0
