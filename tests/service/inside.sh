#!/bin/bash
# Run by systemd inside the tree that nspawn.sh boots: three instances reach active, serve as one cluster, come back
# after a crash and stop in order. Says "inside: passed" last.
set -u

say() { printf '%3d s  %s\n' "$SECONDS" "$*"; }

fail() {
    say "FAILED: $*"
    systemctl --no-pager --full status 'barnabasd@*'
    journalctl --no-pager -u 'barnabasd@*' | tail -n 60
    exit 1
}

property() { systemctl show -P "$2" "barnabasd@$1"; }

all_active() {
    local node
    for node in 1 2 3; do
        [ "$(property "$node" ActiveState)/$(property "$node" SubState)" = active/running ] || return 1
    done
}

# Asked of the first broker: every broker is up, every voter follows.
one_cluster() {
    local up
    up=$(barnabas -b 127.0.0.1:909"$1" --once brokers 2>&1 | grep -cE '^ *[123] .* up( |$)')
    [ "$up" -eq 3 ]
}

until_true() {
    local tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "not within 20 s: $*"
        sleep 0.2
    done
}

start_all() {
    systemctl start barnabasd@1 barnabasd@2 barnabasd@3 || fail 'systemctl start'
    all_active || fail 'not all are active'
    say 'three are active'
    for node in 1 2 3; do until_true one_cluster "$node"; done
    say 'three are one cluster'
}

came_back() { [ "$(property 2 NRestarts)" = 1 ] && all_active; }

stop_in_order() {
    local node started
    for node in 1 2 3; do
        started=$SECONDS
        systemctl stop "barnabasd@$node" || fail "systemctl stop barnabasd@$node"
        [ "$(property "$node" ActiveState)/$(property "$node" Result)/$(property "$node" ExecMainStatus)" = inactive/success/0 ] ||
            fail "barnabasd@$node did not stop well"
        [ -f "/var/lib/barnabas/$node/.kafka_cleanshutdown" ] || fail "barnabasd@$node did not stop cleanly"
        [ $((SECONDS - started)) -le 15 ] || fail "barnabasd@$node took $((SECONDS - started)) s to stop"
        [ "$node" = 3 ] || [ "$(property 3 ActiveState)" = active ] || fail 'another one stopped too'
        say "barnabasd@$node stopped after $((SECONDS - started)) s"
    done
}

id barnabas >/dev/null || fail 'systemd-sysusers made no user'
say 'booted'
start_all
[ "$(stat -c '%U %a' /var/lib/barnabas/1)" = 'barnabas 700' ] || fail 'the data directory is not the service'"'"'s own'
[ "$(stat -c %U "/proc/$(property 1 MainPID)")" = barnabas ] || fail 'the broker does not run as its user'

systemctl kill -s KILL barnabasd@2
until_true came_back
until_true one_cluster 1
say 'a killed one came back'

systemctl start barnabasd@wrong 2>/dev/null && fail 'wrong settings started'
[ "$(property wrong ActiveState)/$(property wrong NRestarts)/$(property wrong ExecMainStatus)" = failed/0/2 ] ||
    fail 'wrong settings: neither said nor left alone'
say 'wrong settings stay down'

stop_in_order
start_all
say 'left running for the power-off'
echo 'inside: passed'
