#!/bin/sh
# Applies each deliberate mistake to a copy of the tree and expects the quorum's tests to fail.
# usage: tests/unit/quorum/mutants/run.sh [NAME...]
set -eu
cd "$(dirname "$0")/../../../.."
here=tests/unit/quorum/mutants
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
tar --exclude=.git --exclude=./build -cf - . | tar -C "$work/tree" -xf -
cmake -S "$work/tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
missed=0
for patch in "$here"/*.patch; do
    name=$(basename "$patch" .patch)
    case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
    patch -s -d "$work/tree" -p1 <"$patch"
    ninja -C "$work/build" test_quorum_three test_quorum_wiped test_quorum_snapshot test_quorum_three_chaos >/dev/null
    caught=
    for test in test_quorum_three test_quorum_wiped test_quorum_snapshot test_quorum_three_chaos; do
        timeout 300 "$work/build/tests/unit/quorum/$test" >/dev/null 2>&1 || caught="$caught $test"
    done
    if [ -z "$caught" ]; then
        missed=$((missed + 1))
    fi
    echo "$name:${caught:- MISSED}"
    patch -s -R -d "$work/tree" -p1 <"$patch"
done
exit "$missed"
