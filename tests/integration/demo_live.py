"""The demo on a terminal, its brokers killed, stopped and started from a second one, as the README's tour does."""
import json
import os
import pty
import re
import subprocess
import sys
import threading
import time

BARNABAS = 'build/release/console/barnabas'


class Demo:
    def __init__(self):
        self.ours, theirs = pty.openpty()
        self.shown = b''
        self.process = subprocess.Popen(['conf/demo.sh'], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        env=dict(os.environ, TERM='xterm-256color'))
        os.close(theirs)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        try:
            while True:
                self.shown += os.read(self.ours, 65536)
        except OSError:
            pass

    def type(self, keys):
        os.write(self.ours, keys)


def until(what, ask, seconds=120):
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            sys.exit('not within %d s: %s' % (seconds, what))
        time.sleep(0.1)


def second_terminal(*words, code=0):
    done = subprocess.run(['conf/demo.sh'] + list(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    if done.returncode != code:
        sys.exit('demo.sh %s ended with %d: %s%s' % (' '.join(words), done.returncode, done.stdout, done.stderr))
    return done.stdout + done.stderr


def letters(addresses):
    """The topic's partitions: [(leader, set of those in sync)]; the console bears with a broker that is gone."""
    done = subprocess.run([BARNABAS, '-b', addresses, '--once', 'partitions', '--format', 'json'], capture_output=True, timeout=60)
    rows = json.loads(done.stdout) if done.returncode == 0 else []
    return [(row['leader'], {r['broker'] for r in row['replicas'] if r['in_sync']}) for row in rows if row['topic'] == 'letters']


def main():
    demo = Demo()
    try:
        found = until('the brokers', lambda: re.search(rb'brokers +(127\S+)\r', demo.shown))
        addresses = found.group(1).decode()
        all_in_sync = lambda: len(letters(addresses)) == 6 and all(isr == {1, 2, 3} for _, isr in letters(addresses))
        until('ISR 3', all_in_sync)
        until('the console', lambda: b'\x1b[?1049h' in demo.shown)
        for ending in ('kill', 'stop'):
            assert 'conf/demo.sh start 2' in second_terminal(ending, '2')
            until('leaders and ISR without 2', lambda: all(l in (1, 3) and isr == {1, 3} for l, isr in letters(addresses)))
            assert 'not running' in second_terminal(ending, '2', code=1)
            assert 'serves again' in second_terminal('start', '2')
            assert 'running already' in second_terminal('start', '2', code=1)
            until('ISR 3 again', all_in_sync)
        demo.type(b'q')
        until('the end of the demo', lambda: demo.process.poll() is not None, 30)
        assert demo.process.returncode == 0, demo.process.returncode
        assert b'Killed' not in demo.shown, 'the shell speaks into the screen'
    finally:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(60)
    assert 'No demo is running' in second_terminal('kill', '2', code=1)
    second_terminal('kill', '4', code=2)


main()
