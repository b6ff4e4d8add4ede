#!/usr/bin/env bash
# Builds Barnabas, starts a cluster of three brokers with traffic on it and opens the console.
#
#   conf/demo.sh              build, start, stream, show; everything is gone again when it ends
#   conf/demo.sh kill N       from a second terminal: kill -9 to broker N (1, 2 or 3) of the demo that runs
#   conf/demo.sh stop N       the same with SIGTERM: it hands its partitions over and ends
#   conf/demo.sh start N      broker N again, with the data it had
#
# Without a terminal on stdin and stdout it prints snapshots of overview, partitions and groups, and ends.
set -u
cd "$(dirname "$0")/.." || exit 1
. conf/packages.sh

BROKERS='1 2 3'
PROGRAM=build/release/broker/barnabasd
WORK=
say() { printf '%s\n' "$*"; }
die() {
    say "$*" >&2
    exit 1
}

# ---- one broker ----

client_port() { printf '%s' $((PORT + $1 - 1)); }
controller_port() { printf '%s' $((PORT + $1 + 2)); }

# What the console and the clients connect to: every broker, since any of them may be killed.
addresses() {
    local n list=
    for n in $BROKERS; do list="$list,127.0.0.1:$(client_port "$n")"; done
    printf '%s' "${list#,}"
}

# The pid of broker N, known by its directory, whichever terminal started it; nothing when it does not run.
broker_pid() {
    local file name
    for file in $(grep -lsF -- "$WORK/data-$1" /proc/[0-9]*/cmdline); do
        read -r name 2>/dev/null <"${file%cmdline}comm" || continue
        case $name in
        barnabasd | setsid)
            file=${file#/proc/}
            printf '%s' "${file%/cmdline}"
            return
            ;;
        esac
    done
}

# In a session of its own: what is typed in the terminal, Ctrl-C too, does not reach it.
launch_broker() {
    local n voters=
    for n in $BROKERS; do voters="$voters,$n@127.0.0.1:$(controller_port "$n")"; done
    : >"$WORK/broker-$1.out"
    setsid "$PROGRAM" --config conf/demo/broker.ini --data-dir "$WORK/data-$1" --set "node.id=$1" \
        --set "listeners=PLAINTEXT://127.0.0.1:$(client_port "$1"),CONTROLLER://127.0.0.1:$(controller_port "$1")" \
        --set "controller.quorum.voters=${voters#,}" </dev/null >"$WORK/broker-$1.out" 2>>"$WORK/broker-$1.log" &
}

# await_broker N SECONDS: until broker N serves. 1 when it runs, but does not serve yet.
await_broker() {
    local tries=0
    until grep -q '^address' "$WORK/broker-$1.out" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 10 ] && [ -z "$(broker_pid "$1")" ]; then
            tail -n 5 "$WORK/broker-$1.log" >&2
            die "Broker $1 did not start."
        fi
        [ "$tries" -lt $(($2 * 20)) ] || return 1
        sleep 0.05
    done
}

# ---- from a second terminal ----

# The directory and the ports of the demo that runs; only the caller's own are looked at.
find_demo() {
    local dir pid found=()
    for dir in "${TMPDIR:-/tmp}"/barnabas-demo.*; do
        [ -O "$dir" ] && [ -f "$dir/running" ] || continue
        read -r pid PORT <"$dir/running"
        grep -qsF demo.sh "/proc/$pid/cmdline" && found+=("$dir")
    done
    case ${#found[@]} in
    0) die 'No demo is running. Start one with: conf/demo.sh' ;;
    1) WORK=${found[0]} ;;
    *) die "More than one demo is running: ${found[*]}. End all but one." ;;
    esac
    read -r pid PORT <"$WORK/running"
}

end_broker() {
    local pid tries=0
    pid=$(broker_pid "$2")
    [ -n "$pid" ] || die "Broker $2 is not running. Start it with: conf/demo.sh start $2"
    kill "-$1" "$pid" || exit 1
    until [ -z "$(broker_pid "$2")" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || die "Broker $2 (pid $pid) has not ended within half a minute."
        sleep 0.05
    done
    say "Broker $2 (pid $pid) has ended by SIG$1. Bring it back with: conf/demo.sh start $2"
}

start_again() {
    local pid
    pid=$(broker_pid "$1")
    [ -z "$pid" ] || die "Broker $1 is running already (pid $pid)."
    launch_broker "$1"
    # The demo may have ended meanwhile, and then it did not see this one.
    [ -f "$WORK/running" ] || { kill "$!"; die 'The demo has ended.'; }
    await_broker "$1" 15 ||
        die "Broker $1 (pid $(broker_pid "$1")) runs and waits for the others: two of the three must run."
    say "Broker $1 (pid $(broker_pid "$1")) serves again at 127.0.0.1:$(client_port "$1")."
}

# act kill|stop|start N
act() {
    case $#:${2:-} in
    2:[123]) ;;
    *)
        say "Say which broker: conf/demo.sh $1 1, 2 or 3" >&2
        exit 2
        ;;
    esac
    find_demo
    case $1 in
    kill) end_broker KILL "$2" ;;
    stop) end_broker TERM "$2" ;;
    start) start_again "$2" ;;
    esac
}

# ---- the demo ----

# Traffic first, that it need not wait for brokers which are gone; then the brokers, wherever they were started.
cleanup() {
    local n pid tries=0 signal=TERM
    trap - EXIT
    trap '' INT TERM HUP
    [ -n "$WORK" ] || return
    rm -f "$WORK/running"
    kill $(jobs -p) 2>/dev/null
    while [ -n "$(jobs -pr)" ] && [ "$tries" -lt 40 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    kill -KILL $(jobs -p) 2>/dev/null
    wait 2>/dev/null
    tries=0
    while :; do
        pid=$(for n in $BROKERS; do printf '%s ' "$(broker_pid "$n")"; done)
        [ -n "${pid// /}" ] || break
        [ $((tries % 100)) -ne 0 ] || kill "-$signal" $pid 2>/dev/null
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || signal=KILL
        sleep 0.05
    done
    rm -rf "$WORK"
}

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

# The first block of ports from 9092 on in which all are free: three for clients, three for controllers.
choose_ports() {
    local holder port
    PORT=9092
    while [ "$PORT" -lt 10092 ]; do
        holder=
        for port in $(seq "$PORT" $((PORT + 5))); do
            holder=$(holder_of "$port")
            [ -z "$holder" ] || break
        done
        [ -n "$holder" ] || return 0
        say "Port $port is in use by $holder; trying the next block"
        PORT=$((PORT + 10))
    done
    die "No free block of six ports between 9092 and 10092"
}

start_brokers() {
    local n
    for n in $BROKERS; do launch_broker "$n"; done
    for n in $BROKERS; do
        await_broker "$n" 30 || die "Broker $n does not serve: $(tail -n 5 "$WORK/broker-$n.log")"
    done
    # The shell would speak of a broker that is killed in the middle of the console's screen.
    disown -a
    say "data     $WORK"
    grep '^cluster' "$WORK/broker-1.out"
    say "brokers  $(addresses)"
    say "try: barnabas -b 127.0.0.1:$PORT"
    say "From a second terminal: conf/demo.sh kill 2, and conf/demo.sh start 2"
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

# The clients go on for as long as the demo, whatever happens to the brokers.
start_traffic() {
    # A process substitution's pid cannot be waited for by name in every shell: a named pipe can.
    mkfifo "$WORK/text"
    stream >"$WORK/text" 2>/dev/null &
    kcat -P -E -b "$(addresses)" -t letters -X enable.idempotence=true -X linger.ms=50 -X message.timeout.ms=0 \
        -X sticky.partitioning.linger.ms=0 <"$WORK/text" >"$WORK/producer.log" 2>&1 &
    # The first line makes the topic. A kcat in a group ends when it hears that there is none: every broker knows it first.
    local n member tries=0
    for n in $BROKERS; do
        until kcat -L -b "127.0.0.1:$(client_port "$n")" -t letters 2>/dev/null | grep -q 'with 6 partitions'; do
            tries=$((tries + 1))
            [ "$tries" -lt 200 ] || die "The topic was not made: $(cat "$WORK/producer.log")"
            sleep 0.1
        done
    done
    for member in 1 2; do
        kcat -E -b "$(addresses)" -X auto.offset.reset=earliest -X "client.id=reader-$member" -G readers letters \
            >/dev/null 2>"$WORK/reader-$member.log" &
    done
}

console() { build/release/console/barnabas -b "$(addresses)" "$@"; }

# Until every partition has three replicas in sync and the group both members, each with partitions, and has
# committed.
settled() {
    console --once partitions --format json 2>/dev/null | python3 -c '
import json, sys
rows = [p for p in json.load(sys.stdin) if p["topic"] == "letters"]
ok = len(rows) == 6 and all(p["leader"] for p in rows)
ok = ok and all(len([r for r in p["replicas"] if r["in_sync"]]) == 3 for p in rows)
sys.exit(0 if ok else 1)' && console --once groups --format json 2>/dev/null | python3 -c '
import json, sys
groups = [g for g in json.load(sys.stdin) if g["group"] == "readers"]
ok = groups and groups[0]["state"] == "Stable" and len(groups[0]["members"]) == 2
ok = ok and all(m["partitions"] for m in groups[0]["members"])
ok = ok and len([o for o in groups[0]["offsets"] if o["committed"] is not None]) == 6
sys.exit(0 if ok else 1)'
}

await_settled() {
    local tries=0
    until settled 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 120 ]; then
            tail -n 5 "$WORK"/reader-*.log "$WORK/producer.log" "$WORK"/broker-*.log >&2
            die "Partitions and group did not settle within a minute; above is what clients and brokers said."
        fi
        sleep 0.5
    done
}

demo() {
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    packages_need $PACKAGES_BUILD $PACKAGES_DEMO || exit 2
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-demo.XXXXXX") || exit 1
    build
    choose_ports
    printf '%s %s\n' "$$" "$PORT" >"$WORK/running"
    start_brokers
    start_traffic
    if [ -t 0 ] && [ -t 1 ]; then
        # Not in the foreground: the shell would hear no signal until it ended.
        console <&0 &
        wait "$!"
        return
    fi
    await_settled
    say; console --once overview || exit 1
    say; console --once partitions || exit 1
    say; console --once groups || exit 1
}

case ${1:-} in
kill | stop | start) act "$@" ;;
'') demo ;;
*)
    say "conf/demo.sh: '$1' is none of kill, stop, start" >&2
    exit 2
    ;;
esac
