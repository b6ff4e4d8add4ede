"""Three brokers on loopback: a group outlives its coordinator, and new partitions do not wait for replication."""
import subprocess
import threading
import time
import unittest

import cluster
from cluster import Cluster

SETTINGS = ('default.replication.factor=3', 'min.insync.replicas=2', 'offsets.topic.num.partitions=3',
            'broker.session.timeout.ms=4000', 'broker.heartbeat.interval.ms=500', 'replica.lag.time.max.ms=5000')


class Member(threading.Thread):
    """A kcat -G; keeps the numbers it read."""

    def __init__(self, bootstrap, group, topic):
        super().__init__(daemon=True)
        self.process = subprocess.Popen(
            ['kcat', '-b', bootstrap, '-u', '-q', '-X', 'auto.offset.reset=earliest', '-X', 'auto.commit.interval.ms=200',
             '-X', 'session.timeout.ms=12000', '-f', '%s\n', '-G', group, topic],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.numbers = []
        self.start()

    def run(self):
        for line in self.process.stdout:
            self.numbers.append(int(line))

    def end(self, how):
        how(self.process)
        self.process.wait()
        self.join()
        self.process.stdout.close()


class Three(unittest.TestCase):
    partitions = 1

    def setUp(self):
        self.cluster = Cluster(3, 'num.partitions=%d' % self.partitions, *SETTINGS).start()

    def tearDown(self):
        codes = [broker.stop() for broker in self.cluster.brokers]
        logs = self.cluster.logs()
        self.cluster.close()
        self.assertEqual(codes, [0, 0, 0], logs)


class Newcomers(Three):
    def test_the_first_record_does_not_wait(self):
        """A topic made while the followers' fetches are parked (500 ms) takes its first acks=all at once."""
        self.cluster.kcat('-P', '-t', 'first', '-X', 'acks=all', data=b'x\n')
        took = []
        for i in range(8):
            topic = 't%d' % i
            self.cluster.kcat('-L', '-t', topic)
            self.cluster.wait_in_sync(topic, 1)
            start = time.monotonic()
            self.cluster.kcat('-P', '-t', topic, '-X', 'acks=all', '-X', 'linger.ms=0', data=b'x\n')
            took.append(time.monotonic() - start)
        self.assertLess(sorted(took)[4], 0.4, took)
        for i in range(8):
            self.assertEqual(self.cluster.kcat('-C', '-t', 't%d' % i, '-e', '-q'), b'x\n')


class Groups(Three):
    partitions = 4

    def setUp(self):
        super().setUp()
        self.members = []

    def tearDown(self):
        for member in self.members:
            if member.process.poll() is None:
                member.end(subprocess.Popen.terminate)
        super().tearDown()

    def group(self):
        rows = [g for g in self.cluster.console('groups') or [] if g['group'] == 'g']
        return rows[0] if rows else None

    def shared(self):
        """The group, when two members have two partitions each."""
        group = self.group()
        fits = group and group['state'] == 'Stable' and group['members'] and len(group['members']) == 2 and all(
            len(m['partitions']) == 2 for m in group['members'])
        return group if fits else None

    def committed(self):
        group = self.group()
        rows = group['offsets'] if group else None
        return rows and all(row['lag'] == 0 for row in rows)

    def feed(self, first, count):
        for p in range(self.partitions):
            self.cluster.kcat('-P', '-t', 't', '-p', str(p), '-X', 'acks=all',
                              data=b''.join(b'%d\n' % n for n in range(first + p, first + count, self.partitions)))

    def got(self):
        return sorted(n for member in self.members for n in member.numbers)

    def test_the_coordinator_dies(self):
        self.feed(0, 1000)
        self.cluster.wait_in_sync('t', 4)
        self.members = [Member(self.cluster.bootstrap, 'g', 't') for _ in range(2)]
        self.cluster.until('all is read', lambda: self.got() == list(range(1000)))
        stable = self.cluster.until('two members share four partitions', self.shared)
        self.cluster.until('all is committed', self.committed)
        self.cluster.wait_in_sync('__consumer_offsets', 3)
        coordinator = self.cluster.broker(stable['coordinator'])
        coordinator.kill9()
        self.feed(1000, 1000)
        # From the committed offsets: nothing again, nothing left out.
        self.cluster.until('the group goes on', lambda: len(self.got()) >= 2000)
        self.assertEqual(self.got(), list(range(2000)))
        self.cluster.until('another coordinates', lambda: (self.group() or {}).get('coordinator') not in
                           (None, stable['coordinator']))
        after = self.cluster.until('the members are there', self.shared)
        self.assertEqual({m['member_id'] for m in after['members']}, {m['member_id'] for m in stable['members']})
        coordinator.start()
        self.cluster.wait_in_sync('__consumer_offsets', 3)
        self.cluster.wait_in_sync('t', 4)


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
