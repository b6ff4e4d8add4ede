#!/bin/bash
# The console on a real terminal, under tmux: it starts, shows, obeys, and leaves the terminal as it was.
#
#   terminal.sh PATH-OF-BARNABAS [HOST:PORT]
#
# Without HOST:PORT, given or in BARNABAS_CLUSTER, nothing listens where it asks: what needs no cluster is tested. With one, the screens
# are visited too. Exit: 0 good, 1 a check failed, 77 tmux is not installed.
set -u
console=$1
cluster=${2:-${BARNABAS_CLUSTER:-}}
where=${cluster:-127.0.0.1:1}
command -v tmux >/dev/null || { echo "SKIP: tmux is not installed"; exit 77; }

socket="barnabas-test-$$"
scratch=$(mktemp -d)
failures=0
mux() { tmux -L "$socket" -f /dev/null "$@"; }
cleanup() { mux kill-server 2>/dev/null; rm -rf "$scratch"; }
trap cleanup EXIT

screen() { mux capture-pane -p -t test; }
fail() {
    echo "FAILED: $1"
    screen | sed 's/^/    | /'
    failures=$((failures + 1))
}
# Waits until the screen shows the pattern; no fixed sleeps.
expect() {
    for _ in $(seq 1 100); do
        screen | grep -qE -- "$1" && return 0
        sleep 0.1
    done
    fail "the screen never showed: $1"
    return 1
}
keys() { mux send-keys -t test "$@"; }
# The console's process, child of the shell in the pane.
pid() { pgrep -P "$(mux display -p -t test '#{pane_pid}')" -x barnabas; }
gone() {
    for _ in $(seq 1 10); do
        case $(ps -o stat= -p "$1") in '' | Z*) return 0 ;; esac
        sleep 0.1
    done
    return 1
}
start() { # environment and arguments
    keys "clear; $1 $console -b $where $2; echo left-with-\$?" Enter
    expect 'barnabas (overview|brokers|topics|partitions|groups)' || expect 'needs 60x15'
}
flags() { # of the terminal and of the shell's descriptors
    keys "clear; stty -a > $scratch/$1; grep flags /proc/self/fdinfo/[012] >> $scratch/$1; echo flags-written" Enter
    expect '^flags-written'
}
same_flags() { cmp -s "$scratch/before" "$scratch/after" || fail "terminal flags differ after $1"; }

mux new-session -d -s test -x 80 -y 24 "env PS1='$ ' LC_ALL=C.UTF-8 bash --norc --noprofile -i"
mux set -s escape-time 0
expect '\$'
flags before

start "" ""
keys q
expect 'left-with-0'
flags after
same_flags "q"

start "" ""
keys 4
expect 'barnabas partitions'
keys '?'
expect 'what it does'
keys Escape
expect 'barnabas partitions'
keys ':' 'to' Tab Enter
expect 'barnabas topics'
keys Z
expect 'PAUSED'
mux resize-window -t test -x 50 -y 12
expect 'needs 60x15'
mux resize-window -t test -x 120 -y 40
expect 'barnabas topics'
for size in 80x24 61x16 200x60 70x20 80x24; do
    mux resize-window -t test -x "${size%x*}" -y "${size#*x}"
done
expect 'barnabas topics'
keys C-z
expect 'Stopped'
keys 'clear; fg; echo left-with-$?' Enter
expect 'barnabas topics'
kill -TERM "$(pid)"
expect 'left-with-143'
flags after
same_flags "SIGTERM"

start "" ""
kill -SEGV "$(pid)"
expect 'left-with-139|left-with-1$'
flags after
same_flags "SIGSEGV"

# ncurses 6.4 itself loses a block when it is asked for a terminal it does not know.
start "TERM=no-such-terminal ASAN_OPTIONS=detect_leaks=0" ""
expect 'does not know TERM=no-such-terminal'
keys C-c
expect 'left-with-0'

start "NO_COLOR=1" ""
screen_with_colors=$(mux capture-pane -e -p -t test | grep -cE $'\e\\[(3[0-7]|38;)')
[ "$screen_with_colors" = 0 ] || fail "NO_COLOR is set and there is colour"
keys q
expect 'left-with-0'

start "LC_ALL=C" ""
screen | LC_ALL=C grep -q '[^ -~]' && fail "the C locale and a character that is not ASCII"
keys q
expect 'left-with-0'

if [ -n "$cluster" ]; then
    start "" ""
    expect 'verdict'
    keys 2
    expect ' up '
    keys 3
    expect 'topic +partitions'
    keys 4
    expect 'follower lag'
    keys 5
    expect 'coordinator'
    keys 6
    expect 'leader'
    keys q
    expect 'left-with-0'
fi

# The terminal goes away: so does the console, within a second, SIGHUP ignored or not.
start "" ""
console_pid=$(pid)
mux kill-session -t test
gone "$console_pid" || { echo "FAILED: lives on without its terminal"; failures=$((failures + 1)); }

mux new-session -d -s test -x 80 -y 24 "env PS1='$ ' LC_ALL=C.UTF-8 bash --norc --noprofile -i"
expect '\$'
keys "trap '' HUP" Enter
start "" ""
console_pid=$(pid)
mux kill-session -t test
gone "$console_pid" || { echo "FAILED: lives on without its terminal, SIGHUP ignored"; failures=$((failures + 1)); }

[ "$failures" = 0 ] && echo "the console behaves on a terminal"
exit $((failures > 0))
