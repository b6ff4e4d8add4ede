"""Metadata snapshots between real processes: the log begins behind them, who comes late, was away or lost its disk fetches
one, and a cluster that was killed whole begins with its own."""
import glob
import os
import re
import shutil
import unittest

from cluster import Broker, Cluster
from test_cluster import create, metadata

SMALL = ('metadata.log.max.record.bytes.between.snapshots=1500', 'metadata.max.retention.bytes=1',
         'internal.metadata.log.segment.bytes=20000', 'controller.quorum.fetch.snapshot.max.bytes=300',
         'offsets.topic.num.partitions=1')


def checkpoints(broker):
    names = glob.glob(os.path.join(broker.data, '__cluster_metadata-0', '*.checkpoint'))
    return sorted(os.path.basename(name) for name in names)


def log_start(broker):
    """Where its metadata log begins, as it last said."""
    starts = re.findall(r'begins (?:at|anew at) offset (\d+)', broker.log())
    return int(starts[-1]) if starts else 0


class Snapshots(unittest.TestCase):
    def setUp(self):
        self.cluster = Cluster(3, *SMALL)
        self.late = None
        self.cluster.start()
        self.topics = 0

    def tearDown(self):
        if self.late is not None:
            self.late.close()
        self.cluster.close()

    def make_topics(self, count, broker):
        for _ in range(count):
            self.topics += 1
            self.assertEqual(create(broker, 'topic%d' % self.topics, 1, 3), 0)

    def names(self):
        return {'topic%d' % (i + 1) for i in range(self.topics)}

    def wait_trimmed(self, brokers, beyond):
        self.cluster.until('logs begin beyond %d' % beyond, lambda: all(log_start(b) > beyond for b in brokers))

    def wait_known(self, broker):
        self.cluster.until('broker %d knows every topic' % broker.node_id,
                           lambda: self.names() <= set(metadata(broker)[1]))

    def test_who_comes_late_or_back_fetches_a_snapshot(self):
        brokers = self.cluster.brokers
        self.make_topics(12, brokers[0])
        self.wait_trimmed(brokers, 0)
        voters = [s for s in brokers[0].settings if s.startswith('controller.quorum.voters=')]
        self.late = Broker('node.id=4', 'process.roles=broker', 'controller.listener.names=CONTROLLER', *voters, *SMALL)
        self.late.start()
        self.assertIn('has fetched snapshot', self.late.log())
        self.wait_known(self.late)
        self.assertEqual(metadata(self.late)[0], [1, 2, 3, 4])

        leader = self.cluster.active_controller()
        away = next(b for b in brokers if b is not leader)
        end = log_start(leader)
        away.kill9()
        others = [b for b in brokers if b is not away]
        self.make_topics(12, leader)
        self.wait_trimmed(others, end + 20)
        away.start()
        self.assertIn('has fetched snapshot', away.log())
        self.wait_known(away)

        away.kill9()
        shutil.rmtree(away.data)
        away.start()
        self.assertIn('has fetched snapshot', away.log())
        self.wait_known(away)
        self.cluster.until('it votes again', lambda: 'votes from now on' in away.log())

    def test_a_cluster_that_was_killed_begins_with_its_snapshots(self):
        brokers = self.cluster.brokers
        self.make_topics(15, brokers[0])
        self.wait_trimmed(brokers, 0)
        for broker in brokers:
            self.assertRegex(checkpoints(broker)[-1], r'^\d{20}-\d{10}\.checkpoint$')
            self.assertLessEqual(len(checkpoints(broker)), 3)
            broker.kill9()
        self.cluster.start()
        for broker in brokers:
            self.assertIn('the metadata is that of a snapshot', broker.log())
            self.wait_known(broker)
        self.make_topics(1, brokers[1])
        self.wait_known(brokers[2])


if __name__ == '__main__':
    unittest.main()
