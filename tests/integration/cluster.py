"""Starts and stops real brokers for tests. Standard library only; nothing outlives the test."""
import atexit
import json
import os
import random
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
    """Ports nobody listens on. Held open together so that they differ. Not from those which the system gives to
    connections: a broker that is killed finds its port again, and nobody who dials it meets himself there."""
    first_given = int(read('/proc/sys/net/ipv4/ip_local_port_range').split()[0])
    held = []
    while len(held) < count:
        sock = socket.socket()
        try:
            sock.bind(('127.0.0.1', random.randrange(12000, max(first_given, 20000))))
            held.append(sock)
        except OSError:
            sock.close()
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
        self.node_id = int(dict(setting.split('=', 1) for setting in settings).get('node.id', 1))
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
        return json.loads(done.stdout)


class Cluster:
    """Several nodes, each broker and controller in one, on loopback. `brokers` are in the order of their ids."""
    broker_type = Broker

    def __init__(self, count, *settings):
        self.root = tempfile.mkdtemp(prefix='barnabas-test.')
        ports = free_ports(2 * count)
        voters = ','.join('%d@127.0.0.1:%d' % (i + 1, ports[count + i]) for i in range(count))
        self.brokers = []
        for i in range(count):
            broker = self.broker_type(
                'node.id=%d' % (i + 1), 'process.roles=broker,controller',
                'listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d' % (ports[i], ports[count + i]),
                'controller.listener.names=CONTROLLER', 'controller.quorum.voters=' + voters, *settings)
            broker.port = ports[i]
            broker.address = '127.0.0.1:%d' % broker.port
            broker.controller_address = '127.0.0.1:%d' % ports[count + i]
            self.brokers.append(broker)
        self.bootstrap = ','.join(broker.address for broker in self.brokers)

    def start(self):
        for broker in self.brokers:
            broker.start(wait=False)
        for broker in self.brokers:
            broker.wait_ready()
        return self

    def broker(self, node_id):
        return self.brokers[node_id - 1]

    def logs(self):
        return '\n'.join('broker %d:\n%s' % (b.node_id, b.log()[-3000:]) for b in self.brokers if b.starts > 0)

    def kcat(self, *words, data=None, seconds=120):
        done = subprocess.run(['kcat', '-b', self.bootstrap] + list(words), input=data, capture_output=True, timeout=seconds)
        if done.returncode != 0:
            raise AssertionError('kcat %s: %s\n%s' % (' '.join(words), done.stderr.decode(errors='replace'), self.logs()))
        return done.stdout

    def console(self, view, *words):
        """What one snapshot shows, or None when nobody answered."""
        done = subprocess.run([BARNABAS, '-b', self.bootstrap, '--once', view, '--format', 'json'] + list(words),
                              capture_output=True, timeout=60)
        if done.returncode not in (0, 3):
            raise AssertionError('barnabas --once %s: %s' % (view, done.stderr.decode()))
        return json.loads(done.stdout) if done.returncode == 0 else None

    def until(self, what, ask, seconds=60):
        """Asks until the answer is true, and returns it."""
        end = time.monotonic() + seconds
        while True:
            answer = ask()
            if answer:
                return answer
            if time.monotonic() > end:
                raise AssertionError('not within %d s: %s\n%s\n%s' % (seconds, what, self.console('partitions'), self.logs()))
            time.sleep(0.1)

    def partitions(self, topic):
        """The topic's rows of the console's partitions, by number; {} when it is not there."""
        return {row['partition']: row for row in self.console('partitions') or [] if row['topic'] == topic}

    def wait_in_sync(self, topic, count, replicas=None, seconds=60):
        """Until each of `count` partitions has a leader and as many replicas in sync (all nodes)."""
        want = replicas or len(self.brokers)

        def settled():
            rows = self.partitions(topic)
            return len(rows) == count and all(
                row['leader'] and sum(r['in_sync'] for r in row['replicas']) == want for row in rows.values()) and rows
        return self.until('%s: %d partitions with %d in sync' % (topic, count, want), settled, seconds)

    def active_controller(self):
        quorum = self.until('a quorum leader', lambda: (self.console('quorum') or {}).get('leader'))
        return self.broker(quorum)

    def close(self):
        for broker in self.brokers:
            broker.close()
        shutil.rmtree(self.root, ignore_errors=True)


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
