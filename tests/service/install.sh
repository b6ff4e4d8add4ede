#!/usr/bin/env bash
# cmake --install into a root: the programs run from there, the example of settings is good, systemd accepts the unit,
# and the broker tells a service manager that it is ready and that it stops.
set -u
BUILD=$1
command -v systemd-analyze >/dev/null || { echo 'SKIP: systemd-analyze is not here'; exit 77; }
WORK=$(mktemp -d "${TMPDIR:-/tmp}/barnabas-service.XXXXXX") || exit 1
trap 'rm -rf "$WORK"' EXIT
fail() { printf 'service: %s\n' "$*"; exit 1; }

cmake --install "$BUILD" --prefix "$WORK/root/usr" >"$WORK/install.log" 2>&1 || { cat "$WORK/install.log"; exit 1; }
ROOT=$WORK/root/usr
"$ROOT/bin/barnabasd" --version | grep -q '^barnabasd [0-9]' || fail 'barnabasd does not run'
"$ROOT/bin/barnabas" --version | grep -q '^barnabas [0-9]' || fail 'barnabas does not run'
"$ROOT/bin/barnabasd" --config "$ROOT/share/doc/barnabas/broker.ini" --check-config >/dev/null || fail 'the example of settings is not good'
for page in man1/barnabas.1 man8/barnabasd.8; do
    grep -q '^\.SH OPTIONS' "$ROOT/share/man/$page" || fail "no manual page $page"
    if command -v groff >/dev/null; then
        groff -man -Tutf8 -ww "$ROOT/share/man/$page" 2>"$WORK/groff.log" >/dev/null
        [ ! -s "$WORK/groff.log" ] || { cat "$WORK/groff.log"; fail "$page is not good roff"; }
    fi
done
"$ROOT/bin/barnabasd" --help=settings | grep -o '^[a-z][a-z.]* = ' | while read -r name _; do
    grep -q "^\.B $name = " "$ROOT/share/man/man8/barnabasd.8" || fail "barnabasd.8 does not know $name"
done || exit 1
[ -f "$ROOT/lib/sysusers.d/barnabas.conf" ] || fail 'no sysusers.d file'

UNIT=$ROOT/lib/systemd/system/barnabasd@.service
grep -q "^ExecStart=$ROOT/bin/barnabasd " "$UNIT" || fail 'the unit does not name the place of the installation'
systemd-analyze verify "$UNIT" >"$WORK/verify.log" 2>&1 || { cat "$WORK/verify.log"; exit 1; }
grep -q 'barnabasd@' "$WORK/verify.log" && { cat "$WORK/verify.log"; exit 1; }
sed 's/^Type=notify/Type=notifi/' "$UNIT" >"$WORK/wrong@.service"
systemd-analyze verify "$WORK/wrong@.service" 2>&1 | grep -q notifi || fail 'systemd-analyze does not see a wrong unit: this test proves nothing'

# sd_notify, with this script as the service manager.
python3 - "$ROOT/bin/barnabasd" "$WORK" <<'PY' || fail 'the notifications are not as they should be'
import os, signal, socket, subprocess, sys
binary, work = sys.argv[1:]
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(work + '/notify')
manager.settimeout(30)
with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    port = probe.getsockname()[1]
broker = subprocess.Popen([binary, '--data-dir', work + '/data', '--set', 'listeners=PLAINTEXT://127.0.0.1:%d' % port],
                          env=dict(os.environ, NOTIFY_SOCKET=work + '/notify'), stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
try:
    said = manager.recv(4096).decode()
    assert 'READY=1' in said, said
    socket.create_connection(('127.0.0.1', port), 5).close()
    broker.send_signal(signal.SIGTERM)
    said = manager.recv(4096).decode()
    assert 'STOPPING=1' in said, said
    assert broker.wait(30) == 0
finally:
    broker.kill()
PY
