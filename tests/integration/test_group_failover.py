"""Two kcat consumers share a topic's partitions, written to all the time; they commit every 5 s, which kcat does not let
change. One is killed: the other goes on from the committed offsets. The coordinator's broker is killed: the group goes
on with what it had committed."""
import os
import subprocess
import time
import unittest

import cluster
from cluster import Cluster

NUMBERS = os.environ.get('NUMBERS', 'build/debug/tests/integration/numbers')
PARTITIONS = 6


class Member:
    """A kcat in the group; what it read is in a file, as lines of partition and offset."""

    def __init__(self, servers, name):
        self.path = os.path.join(servers.root, name)
        with open(self.path, 'w') as out, open(self.path + '.said', 'w') as said:
            self.process = subprocess.Popen(
                ['kcat', '-E', '-u', '-b', servers.bootstrap, '-X', 'client.id=' + name, '-X', 'session.timeout.ms=6000',
                 '-X', 'heartbeat.interval.ms=300', '-X', 'auto.offset.reset=earliest', '-X', 'reconnect.backoff.max.ms=200', '-f', '%p %o\n', '-G', 'readers', 'n'],
                stdin=subprocess.DEVNULL, stdout=out, stderr=said)

    def read(self):
        """[(partition, offset)] in the order in which it read them."""
        return [tuple(map(int, line.split())) for line in cluster.read(self.path).split('\n')[:-1]]

    def kill9(self):
        self.process.kill()
        self.process.wait()


class GroupFailover(unittest.TestCase):
    def setUp(self):
        self.servers = Cluster(3, 'num.partitions=%d' % PARTITIONS, 'default.replication.factor=3', 'min.insync.replicas=2',
                               'offsets.topic.num.partitions=3', 'offsets.topic.replication.factor=3',
                               'group.initial.rebalance.delay.ms=200').start()
        self.producer = subprocess.Popen([NUMBERS, self.servers.bootstrap, 'n', '1000000000', '600', str(PARTITIONS)],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.servers.wait_in_sync('n', PARTITIONS)
        self.members = [Member(self.servers, 'reader-%d' % i) for i in (1, 2)]
        self.servers.until('two members share the partitions', self.shared)
        self.servers.wait_in_sync('__consumer_offsets', 3)

    def tearDown(self):
        for process in [member.process for member in self.members] + [self.producer]:
            if process.poll() is None:
                process.kill()
            process.wait()
        self.servers.close()

    def group(self):
        groups = [g for g in self.servers.console('groups') or [] if g['group'] == 'readers']
        return groups[0] if groups and groups[0]['members'] is not None and groups[0]['offsets'] is not None else None

    def shared(self, members=2):
        """The group, once `members` have all partitions among them and each partition a committed offset."""
        group = self.group()
        if not group or group['state'] != 'Stable' or len(group['members']) != members:
            return None
        held = [len(m['partitions']) for m in group['members']]
        committed = self.committed(group)
        return group if sum(held) == PARTITIONS and all(held) and len(committed) == PARTITIONS else None

    @staticmethod
    def committed(group):
        return {o['partition']: o['committed'] for o in group['offsets'] if o['committed']}

    def wait_beyond(self, offsets):
        """Until the group has committed more than `offsets` in every partition."""
        def beyond():
            group = self.group()
            now = self.committed(group) if group else {}
            return all(now.get(p, 0) > offset for p, offset in offsets.items()) and now
        return self.servers.until('committed beyond %s' % offsets, beyond)

    def first_new(self, member, offsets):
        """By partition, the first offset that `member` reads once it holds all, if it is not the next of what it read
        before: where it took over."""
        taken = {}
        last = {}
        for partition, offset in member.read():
            if offset != last.get(partition, -1) + 1:
                taken[partition] = offset
            last[partition] = offset
        return {p: taken[p] for p in offsets if p in taken}

    def judge_all_read(self):
        """Nothing is left out; what is read twice lies within what a commit may be behind."""
        seen = {}
        for member in self.members:
            for partition, offset in member.read():
                seen.setdefault(partition, []).append(offset)
        for partition in range(PARTITIONS):
            offsets = seen[partition]
            self.assertEqual(sorted(set(offsets)), list(range(max(offsets) + 1)), 'partition %d has holes' % partition)
            twice = len(offsets) - len(set(offsets))
            self.assertLess(twice, len(offsets) / 2, 'partition %d was read from the start again' % partition)

    def test_member_is_killed(self):
        first, second = self.members
        group = self.shared()
        of_first = {p['partition'] for m in group['members'] if m['client_id'] == 'reader-1' for p in m['partitions']}
        self.wait_beyond(self.committed(group))
        first.kill9()
        at_kill = self.committed(self.group())
        started = time.monotonic()
        self.servers.until('one member holds all', lambda: self.shared(members=1))
        print('a member was killed: the other holds all after %.2f s' % (time.monotonic() - started), flush=True)
        self.wait_beyond(self.committed(self.group()))
        last_of_first = dict(first.read())
        taken = self.first_new(second, of_first)
        for partition in of_first:
            self.assertIn(partition, taken)
            self.assertLessEqual(at_kill[partition], taken[partition], 'not from the committed offset on')
            self.assertLessEqual(taken[partition], last_of_first[partition] + 1, 'something was left out')
        self.judge_all_read()

    def test_coordinators_broker_is_killed(self):
        before = self.wait_beyond(self.committed(self.shared()))
        coordinator = self.servers.broker(self.group()['coordinator'])
        coordinator.kill9()
        started = time.monotonic()
        after = self.wait_beyond(before)
        print("the coordinator's broker was killed: commits go on after %.2f s" % (time.monotonic() - started), flush=True)
        for partition, offset in before.items():
            self.assertGreater(after[partition], offset)
        group = self.servers.until('both members share again', self.shared)
        self.assertNotEqual(group['coordinator'], coordinator.node_id)
        coordinator.start()
        self.servers.wait_in_sync('__consumer_offsets', 3)
        self.servers.wait_in_sync('n', PARTITIONS)
        self.wait_beyond(self.committed(self.group()))
        self.judge_all_read()


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
