#!/bin/sh
# Plants each deliberate mistake in a copy of the tree and expects the simulator to find it.
# usage: tests/sim/mutants/run.sh [NAME...]
#
# A patch may begin with a line "# sim: OPTIONS" for the simulator: the worlds it shows in, and how
# many of them.
#
#   SEEDS   how many seeds the others get at most (1500)
#
# Exit: how many were missed.
set -eu
cd "$(dirname "$0")/../../.."
here=tests/sim/mutants
work=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-mutants.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
tar --exclude=.git --exclude=./build -cf - . | tar -C "$work/tree" -xf -
cmake -S "$work/tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBARNABAS_TESTS=ON >/dev/null
missed=0
for patch in "$here"/*.patch; do
    name=$(basename "$patch" .patch)
    case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
    patch -s -d "$work/tree" -p1 <"$patch"
    ninja -C "$work/build" sim >"$work/log" 2>&1 || { cat "$work/log"; exit 99; }
    options=$(sed -n '1s/^# sim: //p' "$patch")
    # shellcheck disable=SC2086 # options are words
    if timeout 900 "$work/build/tests/sim/sim" --seed 1 --count "${SEEDS:-1500}" --stop $options \
        >"$work/out" 2>&1; then
        missed=$((missed + 1))
        echo "$name: MISSED by $(tail -1 "$work/out" | cut -d';' -f1)"
    else
        echo "$name: $(grep -m1 -E 'FAILED|broke off' "$work/out" || echo 'ended without a word')"
    fi
    patch -s -R -d "$work/tree" -p1 <"$patch"
done
exit "$missed"
