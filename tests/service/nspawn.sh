#!/usr/bin/env bash
# Three brokers as systemd services on a Debian of their own: the release build is installed into a debootstrap tree,
# systemd-nspawn boots it, and tests/service/inside.sh looks at the services from within. What they said and how they
# stopped at power-off is judged here.
#
# The tree of packages is kept in ${BARNABAS_SERVICE_CACHE:-~/.cache/barnabas-service}.
# Needs root, namespaces and the packages systemd-container and debootstrap; debootstrap asks the mirror that apt uses.
# Ends 77, with words, where that is not to be had.
set -u
cd "$(dirname "$0")/../.." || exit 1
. conf/packages.sh

KEPT=${BARNABAS_SERVICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/barnabas-service}
WORK=
BOOT_SECONDS=150

cleanup() {
    trap - EXIT INT TERM
    [ -z "$WORK" ] || rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

skip() {
    printf 'SKIP: %s\n' "$*"
    exit 77
}

fail() {
    printf 'nspawn: %s\n' "$*"
    exit 1
}

# systemd-nspawn makes two control groups below ours and leaves them.
remove_groups() {
    local controllers path root
    while IFS=: read -r _ controllers path; do
        case $controllers in
        name=systemd) root=/sys/fs/cgroup/systemd ;;
        '') if [ -d /sys/fs/cgroup/unified ]; then root=/sys/fs/cgroup/unified; else root=/sys/fs/cgroup; fi ;;
        *) continue ;;
        esac
        find "$root$path/payload" "$root$path/supervisor" -depth -type d -exec rmdir {} \; 2>/dev/null
    done </proc/self/cgroup
}

look_around() {
    local program
    [ "$(id -u)" -eq 0 ] || skip 'systemd-nspawn and debootstrap need root'
    for program in debootstrap systemd-nspawn journalctl; do
        command -v "$program" >/dev/null ||
            skip "$program is not here: apt-get install debootstrap systemd-container systemd"
    done
    unshare --mount --pid --net --ipc --uts --fork true 2>/dev/null || skip 'namespaces cannot be made here'
}

# A Debian with systemd and what our programs need, as a tar file; made once.
make_tree() {
    local suite mirror packages name
    suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    packages=$(printf 'systemd,systemd-sysv,dbus'; printf ',%s' $PACKAGES_RUN)
    name=$KEPT/tree-$suite-$(printf '%s' "$packages" | cksum | cut -d ' ' -f 1).tar
    TREE=$name
    [ ! -f "$name" ] || return 0
    mirror=$(apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$suite //p" | head -n 1)
    [ -n "$mirror" ] || skip "apt's sources name no mirror of '$suite'"
    printf 'Making a Debian %s tree (once; kept as %s)\n' "$suite" "$name"
    if ! debootstrap --variant=minbase --include="$packages" "$suite" "$WORK/base" "$mirror" >"$WORK/debootstrap.log" 2>&1; then
        tail -n 3 "$WORK/debootstrap.log"
        skip "debootstrap could not make a tree"
    fi
    rm -rf "$WORK/base/var/cache/apt/archives" "$WORK/base/var/lib/apt/lists" "$WORK/base/usr/share/doc"
    mkdir -p "$KEPT" && tar --numeric-owner -C "$WORK/base" -cf "$name.new" . && mv "$name.new" "$name" || exit 1
    rm -rf "$WORK/base"
}

build() {
    cmake --preset release >"$WORK/build.log" 2>&1 &&
        cmake --build --preset release --target barnabasd barnabas >>"$WORK/build.log" 2>&1 && return
    tail -n 20 "$WORK/build.log"
    exit 1
}

write_settings() {
    cat >"$WORK/tree/etc/barnabas/$1.ini" <<INI
[broker]
node.id = $1
process.roles = broker,controller
listeners = PLAINTEXT://127.0.0.1:909$1,CONTROLLER://127.0.0.1:919$1
controller.listener.names = CONTROLLER
controller.quorum.voters = 1@127.0.0.1:9191,2@127.0.0.1:9192,3@127.0.0.1:9193
INI
}

furnish() {
    local node unit=$WORK/tree/etc/systemd/system
    mkdir -p "$WORK/tree" "$WORK/result"
    tar -C "$WORK/tree" -xf "$TREE" || exit 1
    DESTDIR=$WORK/tree cmake --install build/release --prefix /usr >"$WORK/install.log" 2>&1 || fail "$(cat "$WORK/install.log")"
    mkdir -p "$WORK/tree/etc/barnabas" "$WORK/tree/var/log/journal"
    for node in 1 2 3; do write_settings "$node"; done
    printf '[broker]\nnode.id = one\n' >"$WORK/tree/etc/barnabas/wrong.ini"
    cp tests/service/inside.sh "$WORK/tree/inside.sh"
    cat >"$unit/inside.service" <<'UNIT'
[Unit]
Description=Looks at the brokers
[Service]
Type=oneshot
ExecStart=/bin/bash /inside.sh
StandardOutput=append:/result/log
StandardError=inherit
# As logind would; there is none in so small a tree.
ExecStopPost=/bin/systemctl --no-block --job-mode=replace-irreversibly start poweroff.target
UNIT
    mkdir -p "$unit/multi-user.target.wants"
    ln -s ../inside.service "$unit/multi-user.target.wants/inside.service"
}

boot() {
    timeout --kill-after=10 "$BOOT_SECONDS" systemd-nspawn --boot --register=no --keep-unit --private-network \
        --machine="barnabas-$$" --bind="$WORK/result:/result" --directory="$WORK/tree" </dev/null >"$WORK/console" 2>&1
    local status=$?
    remove_groups
    if [ ! -s "$WORK/result/log" ]; then
        tail -n 10 "$WORK/console"
        skip 'systemd does not boot under systemd-nspawn here'
    fi
    journalctl -D "$WORK/tree/var/log/journal" -o short-monotonic --no-pager >"$WORK/journal" 2>/dev/null
    cat "$WORK/result/log"
    [ "$status" -ne 124 ] || fail "not powered off after $BOOT_SECONDS s"
}

fail_with_journal() {
    grep -E 'barnabas|network' "$WORK/journal" | tail -n 60
    fail "$*"
}

# The brokers were running when the machine was powered off: they end by themselves, before the network does.
judge_power_off() {
    local node
    for node in 1 2 3; do
        [ -f "$WORK/tree/var/lib/barnabas/$node/.kafka_cleanshutdown" ] ||
            fail_with_journal "broker $node was not stopped cleanly at power-off"
    done
    awk '/Stopped target.* network-online.target/ { network = NR }
        /Stopped barnabasd@[123].service/ { last = NR }
        END { exit !(last > 0 && network > last) }' "$WORK/journal" || fail_with_journal 'the network ended before the brokers'
    ! grep -qE 'barnabasd@[123].*(timed out|SIGABRT|core-dump)' "$WORK/journal" || fail_with_journal 'a broker did not end by itself'
    printf 'power-off: clean\n'
}

WORK=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-nspawn.XXXXXX") || exit 1
look_around
build
make_tree
furnish
boot
grep -q '^inside: passed$' "$WORK/result/log" || fail 'the services are not as they should be'
judge_power_off
