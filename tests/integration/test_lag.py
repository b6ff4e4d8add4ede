"""A follower is stopped with SIGSTOP under a producer that waits for the ISR: it leaves the ISR for being behind, not
for being dead, and writing goes on; after SIGCONT it catches up to lag 0 and is back. How the console draws this is
tests/console/test_cluster.py."""
import os
import signal
import subprocess
import time
import unittest

import cluster
from cluster import Cluster

NUMBERS = os.environ.get('NUMBERS', 'build/debug/tests/integration/numbers')


class Lag(unittest.TestCase):
    def setUp(self):
        self.servers = Cluster(3, 'num.partitions=1', 'default.replication.factor=3', 'min.insync.replicas=2',
                               'replica.lag.time.max.ms=2000', 'broker.session.timeout.ms=60000').start()
        self.producer = subprocess.Popen([NUMBERS, self.servers.bootstrap, 'n', '1000000000', '500'],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stopped = None
        # The producer is at work: who it still waits for before its first record may be the one that is stopped.
        self.servers.until('writing', lambda: (self.servers.partitions('n').get(0) or {}).get('high_watermark'))
        row = self.servers.wait_in_sync('n', 1)[0]
        # The leader goes on and so does the active controller: what is stopped is a follower and nothing else.
        busy = {row['leader'], self.servers.active_controller().node_id}
        self.follower = [r['broker'] for r in row['replicas'] if r['broker'] not in busy][0]

    def tearDown(self):
        if self.stopped is not None:
            self.stopped.send_signal(signal.SIGCONT)
        self.producer.kill()
        self.producer.wait()
        self.servers.close()

    def row(self):
        return self.servers.until('the partition', lambda: self.servers.partitions('n').get(0))

    def replica(self):
        return [r for r in self.row()['replicas'] if r['broker'] == self.follower][0]

    def test_stopped_follower(self):
        self.stopped = self.servers.broker(self.follower).process
        self.stopped.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        self.servers.until('out of the ISR', lambda: not self.replica()['in_sync'])
        print('stopped: out of the ISR after %.1f s' % (time.monotonic() - started), flush=True)
        self.assertLess(time.monotonic() - started, 30)
        leader, high_watermark = self.row()['leader'], self.row()['high_watermark']
        self.servers.until('writing goes on', lambda: self.row()['high_watermark'] > high_watermark + 1000)
        self.assertEqual(self.row()['leader'], leader)
        self.stopped.send_signal(signal.SIGCONT)
        self.stopped = None
        started = time.monotonic()
        self.servers.wait_in_sync('n', 1)
        print('continued: in the ISR after %.1f s' % (time.monotonic() - started), flush=True)
        self.producer.send_signal(signal.SIGTERM)
        self.assertEqual(self.producer.wait(60), 0)
        self.servers.until('lag 0', lambda: self.replica()['lag'] == 0)
        ends = {r['broker']: r['end_offset'] for r in self.row()['replicas']}
        self.assertEqual(set(ends.values()), {self.row()['high_watermark']}, ends)


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
