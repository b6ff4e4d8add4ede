"""Starts and stops real brokers for tests. Standard library only; nothing outlives the test."""
import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BARNABASD = os.environ.get('BARNABASD', 'build/release/broker/barnabasd')
BARNABAS = os.environ.get('BARNABAS', 'build/release/console/barnabas')
LIVE = []


def read(path):
    with open(path) as file:
        return file.read()


def free_ports(count):
    """Ports nobody listens on. Held open together so that they differ."""
    held = [socket.socket() for _ in range(count)]
    for sock in held:
        sock.bind(('127.0.0.1', 0))
    ports = [sock.getsockname()[1] for sock in held]
    for sock in held:
        sock.close()
    return ports


class Broker:
    """One barnabasd on loopback with a directory of its own."""

    def __init__(self, *settings, data_dir=None):
        self.root = tempfile.mkdtemp(prefix='barnabas-test.')
        self.data = data_dir or os.path.join(self.root, 'data')
        self.port = free_ports(1)[0]
        self.address = '127.0.0.1:%d' % self.port
        self.settings = list(settings)
        self.process = None
        self.starts = 0
        LIVE.append(self)

    def arguments(self):
        words = [BARNABASD, '--data-dir', self.data, '--set', 'listeners=PLAINTEXT://' + self.address]
        for setting in self.settings:
            words += ['--set', setting]
        return words

    def start(self, wait=True):
        self.starts += 1
        self.out_path = os.path.join(self.root, 'out.%d' % self.starts)
        self.log_path = os.path.join(self.root, 'log.%d' % self.starts)
        with open(self.out_path, 'w') as out, open(self.log_path, 'w') as log:
            self.process = subprocess.Popen(self.arguments(), stdout=out, stderr=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while 'address' not in read(self.out_path):
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError('broker did not start:\n' + self.log())
            time.sleep(0.01)

    def log(self):
        return read(self.log_path)

    def out(self):
        return read(self.out_path)

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=60):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)
        if self in LIVE:
            LIVE.remove(self)

    # kcat: the client every Debian has.
    def kcat(self, *words, data=None, seconds=120):
        done = subprocess.run(['kcat', '-b', self.address] + list(words), input=data, capture_output=True,
                              timeout=seconds)
        if done.returncode != 0:
            raise AssertionError('kcat %s: %s\nbroker:\n%s' % (' '.join(words), done.stderr.decode(errors='replace'),
                                                              self.log()[-4000:]))
        return done.stdout

    def console(self, view, *words, seconds=30):
        done = subprocess.run([BARNABAS, '-b', self.address, '--once', view, '--format', 'json'] + list(words),
                              capture_output=True, timeout=seconds)
        if done.returncode != 0:
            raise AssertionError('barnabas --once %s: %s' % (view, done.stderr.decode()))
        import json
        return json.loads(done.stdout)


def close_all():
    for broker in list(LIVE):
        broker.close()


atexit.register(close_all)


def need(*programs):
    """Skips the whole script, by name, when a program is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        print('SKIPPED: needs ' + ', '.join(missing))
        sys.exit(77)
