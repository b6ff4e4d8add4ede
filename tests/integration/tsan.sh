#!/usr/bin/env bash
# Traffic, kill -9 and stop with the brokers, one and three, under the thread sanitizer: any report ends it with code 66, which the
# tests see.
set -u
cd "$(dirname "$0")/../.." || exit 1
cmake --preset tsan >/dev/null && cmake --build --preset tsan --target barnabasd barnabas numbers >/dev/null || exit 1
export TSAN_OPTIONS="halt_on_error=1 exitcode=66 second_deadlock_stack=1"
export BARNABASD=$PWD/build/tsan/broker/barnabasd BARNABAS=$PWD/build/tsan/console/barnabas
export NUMBERS=$PWD/build/tsan/tests/integration/numbers KILLS=2
status=0
python3 -B tests/integration/test_durability.py || status=1
python3 -B tests/integration/test_failover.py Failover.test_each_broker_in_turn || status=1
for program in build/tsan/tests/unit/os/test_os_* build/tsan/tests/env/test_env_real; do
    name=${program##*/}
    cmake --build --preset tsan --target "$name" >/dev/null 2>&1 || continue
    "$program" >"build/tsan/$name.out" 2>&1 || { tail -n 40 "build/tsan/$name.out"; status=1; }
done
exit "$status"
