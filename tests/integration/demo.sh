#!/usr/bin/env bash
# conf/demo.sh as a newcomer without a terminal runs it, and broken off in the middle: it must show what it
# promises and leave no process and no file behind.
set -u
cd "$(dirname "$0")/../.." || exit 1
WORK=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-demotest.XXXXXX") || exit 1
trap 'rm -rf "$WORK"' EXIT
export TMPDIR=$WORK

fail() {
    printf 'demo: %s\n' "$*"
    tail -n 40 "$WORK/out"
    exit 1
}

# What the demo started carries its working directory in its arguments or its environment.
left_over() {
    local pid found=
    for pid in /proc/[0-9]*; do
        [ "${pid#/proc/}" != "$$" ] || continue
        if { tr '\0' '\n' <"$pid/environ" | grep -qx "TMPDIR=$WORK"; } 2>/dev/null &&
            grep -qaE 'barnabasd|kcat|demo.sh' "$pid/cmdline" 2>/dev/null; then
            found="$found $(tr '\0' ' ' <"$pid/cmdline")"
        fi
    done
    printf '%s' "$found"
}

check_clean() {
    local tries=0
    until [ -z "$(left_over)" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 50 ] || fail "left running after $1:$(left_over)"
        sleep 0.1
    done
    [ -z "$(find "$WORK" -mindepth 1 -maxdepth 1 -name 'barnabas-demo.*')" ] || fail "files left after $1"
}

conf/demo.sh </dev/null >"$WORK/out" 2>&1 || fail "ended with $?"
[ "$(grep -cE '^letters +[0-5] +[123] .* ok' "$WORK/out")" -eq 6 ] || fail 'no six partitions with leader'
[ "$(grep -E '^letters +[0-5] +[123] ' "$WORK/out" | awk '{ print $3 }' | sort -u | wc -l)" -eq 3 ] || fail 'the brokers do not share the leaders'
[ "$(grep -E '^letters +[0-5] ' "$WORK/out" | grep -cE '( +[123],[123],[123]){2} ')" -eq 6 ] || fail 'not three replicas in sync'
grep -qE '^readers +Stable .* 2 +[0-9]+$' "$WORK/out" || fail 'no stable group of two'
[ "$(grep -cE '^letters +[0-5] +[0-9]+ +[0-9]+ +[0-9]+ +reader-[12]' "$WORK/out")" -eq 6 ] || fail 'no committed offsets'
grep -q 'reader-1' "$WORK/out" && grep -q 'reader-2' "$WORK/out" || fail 'one member has no partitions'
check_clean 'its end'

for signal in INT TERM HUP; do
    # A background job of a script ignores SIGINT; the demo must get it as a terminal would send it.
    python3 - "$signal" "$WORK/out" <<'PY' || fail "did not end on SIG$signal"
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
with open(sys.argv[2], 'w') as out:
    demo = subprocess.Popen(['conf/demo.sh'], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    end = time.monotonic() + 120
    while '\nbrokers ' not in open(sys.argv[2]).read():
        if time.monotonic() > end or demo.poll() is not None:
            sys.exit('the demo did not get as far as its broker')
        time.sleep(0.02)
    time.sleep(0.3)
    os.killpg(demo.pid, getattr(signal, 'SIG' + sys.argv[1]))
    demo.wait(60)
PY
    check_clean "SIG$signal"
done

python3 -B tests/integration/demo_live.py >"$WORK/out" 2>&1 || fail 'on a terminal, with brokers killed and started'
check_clean 'kill and start'

# The usual ports taken: it says by whom and takes the next ones.
python3 - "$WORK/out" <<'PY' || fail 'a taken port'
import re, socket, subprocess, sys
taken = socket.socket()
taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    taken.bind(('127.0.0.1', 9092))
    taken.listen()
except OSError:
    pass
with open(sys.argv[1], 'w') as out:
    code = subprocess.call(['conf/demo.sh'], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
text = open(sys.argv[1]).read()
ok = code == 0 and re.search(r'in use by .*\(pid \d+\)|in use by another process', text) and re.search(r'try: barnabas -b 127\.0\.0\.1:\d+', text)
sys.exit(0 if ok else 1)
PY
check_clean 'a taken port'
