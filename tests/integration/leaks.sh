#!/usr/bin/env bash
# Start, traffic, stop: nothing may be left allocated. The asan build's leak check runs when the broker ends.
set -u
cd "$(dirname "$0")/../.." || exit 1
WORK=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-leaks.XXXXXX") || exit 1
PID=
trap '[ -z "$PID" ] || kill "$PID" 2>/dev/null; rm -rf "$WORK"' EXIT
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ASAN_OPTIONS=detect_leaks=1 build/asan/broker/barnabasd --data-dir "$WORK/data" \
    --set "listeners=PLAINTEXT://127.0.0.1:$PORT" >"$WORK/out" 2>"$WORK/log" &
PID=$!
for _ in $(seq 100); do grep -q ^address "$WORK/out" && break; sleep 0.1; done
seq 1 50000 | kcat -P -b "127.0.0.1:$PORT" -t leaks -X enable.idempotence=true || exit 1
[ "$(timeout 60 kcat -b "127.0.0.1:$PORT" -X auto.offset.reset=earliest -c 50000 -G group leaks 2>/dev/null | wc -l)" -eq 50000 ] || exit 1
build/asan/console/barnabas -b "127.0.0.1:$PORT" --once groups >/dev/null || exit 1
# One client is cut off in a long poll, another in a group, when the broker stops.
kcat -C -b "127.0.0.1:$PORT" -t leaks -o end >/dev/null 2>&1 &
CUT=$!
sleep 1
kill "$PID"
wait "$PID"
STATUS=$?
PID=
kill "$CUT" 2>/dev/null
wait "$CUT" 2>/dev/null
if [ "$STATUS" -ne 0 ] || grep -q 'LeakSanitizer\|AddressSanitizer' "$WORK/log"; then
    tail -n 60 "$WORK/log"
    exit 1
fi
