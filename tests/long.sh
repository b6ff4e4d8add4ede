#!/usr/bin/env bash
# What is run by hand, since it takes hours: every fuzzer, many seeds of the simulator, brokers in network namespaces
# under every fault, and a broker that is killed with -9 fifty times under load.
#
#   tests/long.sh [fuzz|sim|namespaces|kills]...   all when nothing is named
#
#   FUZZ_SECONDS   for each fuzzer (600)
#   SIM_SEEDS      how many seeds (20000)
#   SIM_FIRST      the first of them (drawn from the clock)
#   ROUNDS         of the faults between namespaces (5), of six minutes each
#
# What a fuzzer finds is left in build/fuzz/found. Exit: 0 nothing found, 1 something, 2 packages.
set -u
cd "$(dirname "$0")/.." || exit 1
. conf/packages.sh

FUZZ_SECONDS=${FUZZ_SECONDS:-600}
SIM_SEEDS=${SIM_SEEDS:-20000}
SIM_FIRST=${SIM_FIRST:-$(date +%s)}
PASSED=0
FAILED=0

say() { printf '%s\n' "$*"; }

# count STATUS NAME
count() {
    if [ "$1" -eq 0 ]; then
        PASSED=$((PASSED + 1))
        say "$2: passed"
    else
        FAILED=$((FAILED + 1))
        say "$2: FAILED ($1)"
    fi
}

build() {
    cmake --preset "$1" >/dev/null && cmake --build --preset "$1" || exit 1
}

run_fuzzers() {
    local program name
    build fuzz
    for program in build/fuzz/tests/fuzz/fuzz_*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        name=${program##*/}
        mkdir -p "build/fuzz/corpus/$name" build/fuzz/found
        say "Fuzzing $name for $FUZZ_SECONDS s"
        "$program" -max_total_time="$FUZZ_SECONDS" -print_final_stats=1 -rss_limit_mb=1024 \
            -artifact_prefix="build/fuzz/found/$name-" "build/fuzz/corpus/$name" \
            $([ ! -d "tests/fuzz/corpus/$name" ] || echo "tests/fuzz/corpus/$name") \
            >"build/fuzz/$name.log" 2>&1
        count $? "$name (build/fuzz/$name.log)"
    done
}

run_sim() {
    build release
    say "Simulating $SIM_SEEDS seeds from $SIM_FIRST"
    build/release/tests/sim/sim --seed "$SIM_FIRST" --count "$SIM_SEEDS"
    count $? "sim --seed $SIM_FIRST --count $SIM_SEEDS"
}

run_namespaces() {
    build release
    say "Cutting, killing and stopping between namespaces, ${ROUNDS:-5} rounds, seed $SIM_FIRST"
    BARNABASD=build/release/broker/barnabasd BARNABAS=build/release/console/barnabas \
        WRITER=build/release/tests/integration/writer NETWORK=build/release/tests/integration/network \
        ROUNDS=${ROUNDS:-5} SEED=$SIM_FIRST python3 -B tests/integration/test_namespaces.py
    count $? "namespaces, seed $SIM_FIRST"
}

run_kills() {
    build release
    say "Killing a broker 50 times under load"
    BARNABASD=build/release/broker/barnabasd NUMBERS=build/release/tests/integration/numbers KILLS=50 COUNT=400000 \
        python3 -B tests/integration/test_durability.py Kill9
    count $? "50 kills"
}

packages_need $PACKAGES_BUILD $PACKAGES_TEST || exit 2
[ $# -gt 0 ] || set -- fuzz sim namespaces kills
for part in "$@"; do
    case $part in
    fuzz) run_fuzzers ;;
    sim) run_sim ;;
    kills) run_kills ;;
    namespaces) run_namespaces ;;
    *)
        say "tests/long.sh: '$part' is none of fuzz, sim, namespaces, kills" >&2
        exit 2
        ;;
    esac
done
say "$PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
