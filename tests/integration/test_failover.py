"""Brokers are killed with -9 under an idempotent acks=all producer of numbers: every number it was acknowledged is
there once and in order, and every partition has its three replicas in sync again.

ROUNDS (1): how often each broker, the active controller and the whole cluster are killed."""
import os
import signal
import subprocess
import time
import unittest

import cluster
from cluster import Cluster

NUMBERS = os.environ.get('NUMBERS', 'build/debug/tests/integration/numbers')
ROUNDS = int(os.environ.get('ROUNDS', '1'))
PER_SECOND = int(os.environ.get('PER_SECOND', '2000'))
PARTITIONS = 3


class Load:
    """The producer, running until it is told to end."""

    def __init__(self, servers, topic, root):
        self.path = os.path.join(root, 'acked-' + topic)
        with open(self.path, 'w') as out, open(self.path + '.said', 'w') as said:
            self.process = subprocess.Popen([NUMBERS, servers.bootstrap, topic, '1000000000', str(PER_SECOND), str(PARTITIONS)],
                                            stdout=out, stderr=said)

    def acked(self):
        return [int(line) for line in cluster.read(self.path).split('\n')[:-1]]

    def wait_more(self, seconds=60):
        """Until every partition has acknowledged numbers drawn after this; returns how long that took."""
        started = time.monotonic()
        beyond = max(self.acked(), default=-1) + PER_SECOND // 4
        missing = set(range(PARTITIONS))
        left = ''
        with open(self.path) as file:
            while missing:
                *lines, left = (left + file.read()).split('\n')
                for line in lines:
                    if int(line) > beyond:
                        missing.discard(int(line) % PARTITIONS)
                assert self.process.poll() is None, self.said()
                assert time.monotonic() < started + seconds, 'partitions %s: nothing acknowledged for %d s' % (missing, seconds)
                time.sleep(0.005)
        return time.monotonic() - started

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(150) == 0, self.said()
        return self.acked()

    def said(self):
        return cluster.read(self.path + '.said')[-3000:]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Failover(unittest.TestCase):
    def setUp(self):
        self.servers = Cluster(3, 'num.partitions=%d' % PARTITIONS, 'default.replication.factor=3', 'min.insync.replicas=2').start()
        self.load = Load(self.servers, 'n', self.servers.root)
        self.load.wait_more()
        self.servers.wait_in_sync('n', PARTITIONS)

    def tearDown(self):
        self.load.close()
        self.servers.close()

    def kill_and_restart(self, *brokers):
        """The rest goes on without them, if it can; then they are back in every ISR."""
        for broker in brokers:
            broker.kill9()
        blocked = self.load.wait_more() if len(brokers) == 1 else 0
        for broker in brokers:
            broker.start(wait=False)
        started = time.monotonic()
        for broker in brokers:
            broker.wait_ready()
        self.servers.wait_in_sync('n', PARTITIONS)
        back = time.monotonic() - started
        self.load.wait_more()
        print('killed %s: acknowledged again after %.2f s, ISR 3 %.2f s after the restart' %
              (','.join(str(b.node_id) for b in brokers), blocked, back), flush=True)

    def judge(self):
        acked = self.load.end()
        self.assertEqual(sorted(acked), list(range(len(acked))), 'what was sent was acknowledged, once')
        for partition in range(PARTITIONS):
            stored = self.servers.kcat('-C', '-t', 'n', '-p', str(partition), '-o', 'beginning', '-e', '-q').split()
            self.assertEqual([int(line) for line in stored], list(range(partition, len(acked), PARTITIONS)),
                             'every number once and in order')
        for broker in self.servers.brokers:
            self.assertEqual(broker.stop(), 0, broker.log()[-3000:])

    def test_each_broker_in_turn(self):
        for _ in range(ROUNDS):
            for broker in self.servers.brokers:
                self.kill_and_restart(broker)
        self.judge()

    def test_active_controller(self):
        for _ in range(ROUNDS + 1):
            before = self.servers.active_controller()
            self.kill_and_restart(before)
            self.assertIsNot(self.servers.active_controller(), before)
        self.judge()

    def test_all_at_once(self):
        for _ in range(ROUNDS):
            self.kill_and_restart(*self.servers.brokers)
        self.judge()


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
