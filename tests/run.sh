#!/usr/bin/env bash
# Installs what the tests need, builds with address and undefined sanitizers and runs every test.
#
#   tests/run.sh [CTEST ARGUMENT...]      say "-R NAME" to run some
#
# Exit: 0 all passed, 1 something failed, 2 packages are missing and cannot be installed. With CI=true
# warnings are errors and a skipped test is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1
. conf/packages.sh

WERROR=${BARNABAS_WERROR:-OFF}
[ "${CI:-}" != true ] || WERROR=ON
STARTED=$SECONDS
FAILED=0
SKIPPED=()
OUT=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-tests.XXXXXX") || exit 1
trap 'rm -rf "$OUT"' EXIT

say() { printf '%s\n' "$*"; }

# Shows ctest's lines as they come and keeps the summary, which is said last.
keep_summary() {
    awk -v summary="$OUT/summary" '
        /% tests passed/ { ended = 1 }
        ended { print > summary; next }
        { print; fflush() }'
}

build() {
    say "Building the asan preset"
    if ! cmake --preset asan -DBARNABAS_WERROR="$WERROR" >"$OUT/configure.log" 2>&1; then
        cat "$OUT/configure.log" >&2
        return 1
    fi
    cmake --build --preset asan
}

run_ctest() {
    UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1} \
        ctest --test-dir build/asan --output-on-failure --no-tests=error -j2 "$@" 2>&1 | keep_summary
    [ "${PIPESTATUS[0]}" -eq 0 ] || FAILED=1
    while IFS= read -r name; do
        SKIPPED+=("$name")
    done < <(sed -n 's/^[[:space:]]*[0-9]* - \(.*\) (\(Skipped\|Not Run\|Disabled\))$/\1/p' \
        "$OUT/summary" 2>/dev/null)
}

# A stage is a script that says what it does and ends 0, or 77 when it cannot run here.
run_stage() {
    local status
    say "Stage $1"
    "$1"
    status=$?
    case $status in
    0) say "Stage $1: passed" ;;
    77) SKIPPED+=("$1") ;;
    *)
        say "Stage $1: FAILED ($status)"
        FAILED=1
        ;;
    esac
}

close() {
    say
    say "Skipped: ${#SKIPPED[@]}"
    for name in ${SKIPPED[@]+"${SKIPPED[@]}"}; do
        say "  skipped: $name"
    done
    if [ "${#SKIPPED[@]}" -gt 0 ] && [ "${CI:-}" = true ]; then
        say "With CI=true a skipped test is a failure."
        FAILED=1
    fi
    say "Took $((SECONDS - STARTED)) s"
    [ ! -f "$OUT/summary" ] || cat "$OUT/summary"
}

packages_need $PACKAGES_BUILD $PACKAGES_TEST || exit 2
build || exit 1
run_ctest "$@"
if [ $# -eq 0 ]; then
    # The release and the clang build; three services on a system of their own; traffic and stop under tsan; without a
    # leak; the demo.
    for stage in tests/tidy/warnings.sh tests/service/nspawn.sh tests/integration/tsan.sh tests/integration/leaks.sh \
        tests/integration/demo.sh; do
        [ ! -x "$stage" ] || run_stage "$stage"
    done
fi
close
exit "$FAILED"
