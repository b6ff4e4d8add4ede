#!/usr/bin/env bash
# Unmodified clients of other projects against one broker: kcat and librdkafka (apt), confluent-kafka-python and
# kafka-python (PyPI), kafkajs (npm), the Java client and Kafka's own tools (Maven Central), franz-go (Go modules).
# Then the tools, some clients and a broker of Apache Kafka with a cluster of three (three.py).
#
#   tests/interop/run.sh [PRESET|DIRECTORY]   the preset's barnabasd is built if need be (default asan), or one that
#                                             stands in a build directory is taken
#
# What is fetched is kept in ${BARNABAS_INTEROP_CACHE:-~/.cache/barnabas-interop}. A client whose language is not
# on the machine is skipped by name; with CI=true that is a failure.
set -u
cd "$(dirname "$0")/../.." || exit 1
. conf/packages.sh
case ${1:-asan} in
    */*) PRESET= BUILD=$1 ;;
    *) PRESET=${1:-asan} BUILD=build/${1:-asan} ;;
esac
CACHE=${BARNABAS_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/barnabas-interop}
HERE=tests/interop
PASSED=0 FAILED=0 SKIPPED=()
WORK=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-interop.XXXXXX") || exit 1
BROKER_PID=

cleanup() {
    trap - EXIT INT TERM
    [ -n "$BROKER_PID" ] && kill "$BROKER_PID" 2>/dev/null && wait "$BROKER_PID" 2>/dev/null
    rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# try NAME COMMAND...: one client; its output is shown when it fails.
try() {
    local name=$1 start=$SECONDS
    shift
    # A shell function bounds its own programs; a program is bounded here.
    if [ "$(type -t "$1")" != function ]; then set -- timeout 300 "$@"; fi
    if "$@" >"$WORK/$name.out" 2>&1; then
        PASSED=$((PASSED + 1))
        printf 'ok      %-28s %3d s\n' "$name" "$((SECONDS - start))"
    else
        FAILED=$((FAILED + 1))
        printf 'FAILED  %-28s %3d s\n' "$name" "$((SECONDS - start))"
        tail -n 30 "$WORK/$name.out" | sed 's/^/    /'
        tail -n 5 "$WORK/broker.log" | sed 's/^/    broker: /'
    fi
}

skip() {
    SKIPPED+=("$1")
    printf 'skipped %-28s %s\n' "$1" "$2"
}

have() { command -v "$1" >/dev/null 2>&1; }

start_broker() {
    PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$BUILD"/broker/barnabasd --data-dir "$WORK/data" --set "listeners=PLAINTEXT://127.0.0.1:$PORT" \
        --set group.initial.rebalance.delay.ms=200 >"$WORK/broker.out" 2>"$WORK/broker.log" &
    BROKER_PID=$!
    ADDRESS=127.0.0.1:$PORT
    local tries=0
    until grep -q '^address' "$WORK/broker.out"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$BROKER_PID" 2>/dev/null; then
            tail -n 20 "$WORK/broker.log"
            exit 1
        fi
        sleep 0.1
    done
}

# kcat prints nothing of its own: what went in must come out, and a group must commit.
kcat_round() {
    local topic=interop-kcat
    seq 1 5000 >"$WORK/in"
    kcat -P -b "$ADDRESS" -t "$topic" -X enable.idempotence=true -z lz4 <"$WORK/in" || return 1
    kcat -C -b "$ADDRESS" -t "$topic" -e -q -o beginning | sort -n | cmp - "$WORK/in" || return 1
    timeout 60 kcat -b "$ADDRESS" -X auto.offset.reset=earliest -c 5000 -G group-kcat "$topic" | sort -n |
        cmp - "$WORK/in"
}

numbers_round() {
    "$BUILD"/tests/integration/numbers "$ADDRESS" interop-librdkafka 20000 0 >"$WORK/acked" || return 1
    kcat -C -b "$ADDRESS" -t interop-librdkafka -e -q -o beginning | cmp - <(seq 0 19999)
}

python_clients() {
    local venv=$CACHE/python
    if ! [ -x "$venv/bin/python" ]; then
        python3 -m venv "$venv" >"$WORK/venv.out" 2>&1 || { skip confluent-kafka-python 'python3 -m venv does not work'; skip kafka-python 'the same'; return; }
    fi
    "$venv/bin/python" -c 'import confluent_kafka, kafka' 2>/dev/null ||
        "$venv/bin/pip" install -q confluent-kafka==2.12.2 kafka-python==2.2.15 >"$WORK/pip.out" 2>&1 || cat "$WORK/pip.out"
    try confluent-kafka-python "$venv/bin/python" -B $HERE/python/confluent.py "$ADDRESS"
    try kafka-python "$venv/bin/python" -B $HERE/python/pure.py "$ADDRESS"
}

node_client() {
    have npm || { skip kafkajs 'npm is not here'; return; }
    mkdir -p "$CACHE/node" && cp $HERE/node/package.json $HERE/node/*.js "$CACHE/node/"
    [ -d "$CACHE/node/node_modules/kafkajs" ] || (cd "$CACHE/node" && npm install --silent --no-audit --no-fund) >"$WORK/npm.out" 2>&1 || cat "$WORK/npm.out"
    try kafkajs node "$CACHE/node/client.js" "$ADDRESS"
}

go_client() {
    have go || { skip franz-go 'go is not here'; return; }
    mkdir -p "$CACHE/go/going" "$CACHE/go/bin"
    cp $HERE/go/go.mod $HERE/go/main.go "$CACHE/go/" && cp $HERE/go/going/main.go "$CACHE/go/going/"
    [ ! -f $HERE/go/go.sum ] || cp $HERE/go/go.sum "$CACHE/go/"
    (cd "$CACHE/go" && go build -mod=mod -o bin/ ./...) >"$WORK/go.out" 2>&1 || { cat "$WORK/go.out"; }
    try franz-go "$CACHE/go/bin/interop" "$ADDRESS"
}

java_jars() {
    [ -f "$CACHE/java/.complete" ] && cmp -s $HERE/java/pom.xml "$CACHE/java/pom.xml" && return 0
    mkdir -p "$CACHE/java" && cp $HERE/java/pom.xml "$CACHE/java/"
    (cd "$CACHE/java" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars) >"$WORK/mvn.out" 2>&1 &&
        touch "$CACHE/java/.complete" || { tail -n 20 "$WORK/mvn.out"; return 1; }
}

# One JVM that runs tool after tool (java/src/Tools.java); the class path of all that Java does here.
JAVA=(java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=off -cp "$WORK/classes:$CACHE/java/jars/*")
JAVA_HERE=

java_client() {
    if ! have java || ! have javac || ! have mvn; then
        skip kafka-tools "java, javac and mvn are needed"
        for name in java-client kafka-dump-log schemas three-tools four-moves three-apache-kafka apache-kafka-and-one; do skip $name 'the same'; done
        return
    fi
    java_jars || { FAILED=$((FAILED + 1)); return; }
    mkdir -p "$WORK/classes"
    javac -cp "$CACHE/java/jars/*" -d "$WORK/classes" $HERE/java/src/*.java 2>"$WORK/javac.out" || cat "$WORK/javac.out"
    JAVA_HERE=yes
    coproc TOOLS { exec "${JAVA[@]}" Tools 2>&1; }
    try kafka-tools tools_round
    exec {TOOLS[1]}>&-
    try java-client "${JAVA[@]}" Interop "$ADDRESS"
    [ ! -f $HERE/schemas.py ] || try schemas python3 -B $HERE/schemas.py "$CACHE"/java/jars/kafka-*.jar
}

# With a cluster of three.
three() {
    local clients=()
    [ -z "$JAVA_HERE" ] || try three-tools python3 -B $HERE/three.py tools
    [ -z "$JAVA_HERE" ] || try four-moves python3 -B $HERE/moves.py
    [ ! -x "$CACHE/python/bin/python" ] || clients+=(python)
    [ ! -x "$CACHE/go/bin/going" ] || clients+=(go)
    [ -z "$JAVA_HERE" ] || clients+=(java)
    try three-failover python3 -B $HERE/three.py failover "${clients[@]}"
    [ -z "$JAVA_HERE" ] || try three-apache-kafka python3 -B $HERE/three.py apache
    [ -z "$JAVA_HERE" ] || try apache-kafka-and-one python3 -B $HERE/three.py joins
}

# Kafka's own command line tools, each asked for what its words should show.
tools_round() {
    local expect topic=interop-tools
    tool() { # EXPECTED CLASS ARGUMENT...: the output must match
        expect=$1
        shift
        local IFS=$'\t' line
        printf '%s\n' "$1"$'\t'--bootstrap-server$'\t'"$ADDRESS"$'\t'"${*:2}" >&"${TOOLS[1]}"
        while IFS= read -t 60 -r line <&"${TOOLS[0]}"; do
            case $line in '=== exit '*) break ;; esac
            printf '%s\n' "$line"
        done >"$WORK/tool.out"
        grep -qE -- "$expect" "$WORK/tool.out" || { printf '%s: no "%s" in\n' "$*" "$expect"; cat "$WORK/tool.out"; return 1; }
    }
    local tools=org.apache.kafka.tools
    tool 'Created topic' $tools.TopicCommand --create --topic $topic --partitions 3 --config retention.ms=1000000 &&
        tool '' $tools.TopicCommand --alter --topic $topic --partitions 4 &&
        tool 'PartitionCount: 4.*retention.ms=1000000' $tools.TopicCommand --describe --topic $topic &&
        tool 'Completed updating' kafka.admin.ConfigCommand --entity-type topics --entity-name $topic --alter --add-config flush.messages=1000 &&
        tool 'flush.messages=1000' kafka.admin.ConfigCommand --entity-type topics --entity-name $topic --describe &&
        tool "'abc' is not a number" kafka.admin.ConfigCommand --entity-type topics --entity-name $topic --alter --add-config flush.ms=abc &&
        tool "^$topic:3:0" $tools.GetOffsetShell --topic $topic &&
        tool 'LeaderId: +1' $tools.MetadataQuorumCommand describe --status &&
        tool 'Leader' $tools.MetadataQuorumCommand describe --replication &&
        tool 'Produce\(0\): 0 to 13 \[usable: 13\]' $tools.BrokerApiVersionsCommand &&
        tool 'metadata.version.*FinalizedVersionLevel: 4.3-IV0' $tools.FeatureCommand describe &&
        tool "\"partition\":\"$topic-3\"" $tools.LogDirsCommand --describe &&
        tool 'group-kcat +interop-kcat +0 +5000 +5000 +0' $tools.consumer.group.ConsumerGroupCommand --describe --group group-kcat &&
        tool "interop-kcat +0 +0" $tools.consumer.group.ConsumerGroupCommand --reset-offsets --group group-kcat --topic interop-kcat --to-earliest --execute &&
        tool '' $tools.TopicCommand --delete --topic $topic &&
        tool '^interop-kcat' $tools.TopicCommand --list && ! grep -q $topic "$WORK/tool.out"
}

# Kafka's own reader over everything the stopped broker left on disk.
dump_logs() {
    local file
    local tool=("${JAVA[@]}" org.apache.kafka.tools.DumpLogSegments)
    local data=() meta=()
    mkdir -p "$WORK/plain" "$WORK/compacted"
    "$BUILD"/tests/unit/log/log_export "$WORK/plain" && "$BUILD"/tests/unit/log/log_export "$WORK/compacted" compacted || return 1
    for file in "$WORK"/data/interop-*/*.log "$WORK"/data/interop-*/*.index "$WORK"/data/interop-*/*.timeindex \
        "$WORK"/data/interop-*/*.snapshot "$WORK"/data/__consumer_offsets-*/*.log "$WORK"/{plain,compacted}/topic-3/0*; do
        [ -s "$file" ] && data+=("$file")
    done
    for file in "$WORK"/data/__cluster_metadata-0/*.log; do meta+=("$file"); done
    "${tool[@]}" --deep-iteration --index-sanity-check --files "$(IFS=,; echo "${data[*]}")" >"$WORK/dump.out" 2>&1 || { tail "$WORK/dump.out"; return 1; }
    if grep -nE 'isvalid: false|Mismatch|mismatch|corrupt|Found (timestamp|invalid)|Exception|Error' "$WORK/dump.out"; then return 1; fi
    grep -q 'isvalid: true' "$WORK/dump.out" || { echo 'no batch was read'; return 1; }
    "${tool[@]}" --cluster-metadata-decoder --files "$(IFS=,; echo "${meta[*]}")" >"$WORK/meta.out" 2>&1 || { tail "$WORK/meta.out"; return 1; }
    if grep -nE 'isvalid: false|Exception|Error|UNKNOWN' "$WORK/meta.out"; then return 1; fi
    for file in LEADER_CHANGE FEATURE_LEVEL_RECORD REGISTER_BROKER_RECORD TOPIC_RECORD PARTITION_RECORD; do
        grep -q "$file\|$(echo $file | sed 's/_\(.\)/\1/g')" "$WORK/meta.out" || grep -qi "${file//_/}" "$WORK/meta.out" || { echo "no $file"; head -n 20 "$WORK/meta.out"; return 1; }
    done
}

packages_need $PACKAGES_BUILD $PACKAGES_TEST || exit 2
if [ -n "$PRESET" ]; then
    [ -f "$BUILD/build.ninja" ] || cmake --preset "$PRESET" >"$WORK/configure.out" 2>&1 || { cat "$WORK/configure.out"; exit 1; }
    cmake --build --preset "$PRESET" --target barnabasd barnabas numbers log_export log_import >"$WORK/build.out" 2>&1 || { tail -n 30 "$WORK/build.out"; exit 1; }
fi
export BARNABASD=$BUILD/broker/barnabasd BARNABAS=$BUILD/console/barnabas NUMBERS=$BUILD/tests/integration/numbers LOG_IMPORT=$BUILD/tests/unit/log/log_import
export CACHE JARS=$CACHE/java/jars CLASSES=$WORK/classes
mkdir -p "$CACHE"
start_broker
try kcat kcat_round
try librdkafka numbers_round
python_clients
node_client
go_client
java_client
kill "$BROKER_PID"
wait "$BROKER_PID"
code=$?
BROKER_PID=
if [ "$code" -eq 0 ] && ! grep -q 'ERROR\|runtime error' "$WORK/broker.log"; then
    PASSED=$((PASSED + 1))
    printf 'ok      %s\n' 'the broker stops cleanly, nothing leaked'
else
    FAILED=$((FAILED + 1))
    printf 'FAILED  the broker ended with %s\n' "$code"
    grep -A 20 'ERROR\|runtime error' "$WORK/broker.log" | head -n 40
fi
[ -z "$JAVA_HERE" ] || try kafka-dump-log dump_logs
three
if [ "${#SKIPPED[@]}" -gt 0 ]; then
    printf 'skipped: %s\n' "${SKIPPED[*]}"
    [ "${CI:-}" != true ] || FAILED=$((FAILED + ${#SKIPPED[@]}))
fi
printf '%d passed, %d failed, %d skipped\n' "$PASSED" "$FAILED" "${#SKIPPED[@]}"
[ "$FAILED" -eq 0 ]
