#!/usr/bin/env bash
# Everything, tests included, as users build it (-O2) and by the other compiler: what either warns of is said by
# name. The optimiser and clang see mistakes that the asan build's gcc does not.
set -u
cd "$(dirname "$0")/../.." || exit 1
LOG=$(mktemp "${TMPDIR:-/tmp}/barnabas-warnings.XXXXXX") || exit 1
trap 'rm -f "$LOG"' EXIT
status=0
for preset in release clang; do
    if cmake --preset "$preset" -DBARNABAS_WERROR=ON >"$LOG" 2>&1 && cmake --build --preset "$preset" >>"$LOG" 2>&1; then
        printf '%s: no warnings\n' "$preset"
    else
        grep -A 6 -E 'error:|warning:|CMake Error' "$LOG" || tail -n 20 "$LOG"
        printf '%s: FAILED\n' "$preset"
        status=1
    fi
done
exit "$status"
