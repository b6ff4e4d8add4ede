"""The console on a cluster of three, in a terminal, with keys alone: it elects the preferred leader of a partition that
was moved, and only when asked in earnest; and it shows what a follower that stopped owes.

With APACHE_KAFKA_JARS (apache.py) the cluster is Apache Kafka's."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

import apache
import cluster
from tmux import Terminal

TOPIC = 'aa-orders'  # the first row of the screen
# Nothing but the keys may move a leader back; and a stopped broker is to be fenced soon.
SETTINGS = ['num.partitions=1', 'default.replication.factor=3', 'offsets.topic.replication.factor=3', 'min.insync.replicas=2',
            'auto.leader.rebalance.enable=false', 'replica.lag.time.max.ms=4000', 'broker.session.timeout.ms=6000']


class Writer:
    """Ten messages every tenth of a second, until it is told to end."""

    def __init__(self, servers, broker):
        self.servers = servers
        self.broker = broker
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.done.wait(0.1):
            self.broker.kcat('-P', '-t', TOPIC, '-p', '0', '-X', 'acks=1', data=b'x\n' * 10)

    def end(self):
        self.done.set()
        self.thread.join()


class ConsoleOnThree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        kind = apache.ApacheCluster if apache.JARS else cluster.Cluster
        cls.servers = kind(3, *SETTINGS).start()
        cls.servers.kcat('-P', '-t', TOPIC, data=b'first\n')
        cls.servers.wait_in_sync(TOPIC, 1)

    @classmethod
    def tearDownClass(cls):
        cls.servers.close()

    def setUp(self):
        self.terminal = Terminal('%s -b %s --interval 0.5' % (cluster.BARNABAS, self.servers.bootstrap))
        self.terminal.expect('barnabas overview')
        self.terminal.keys('4', 'g')
        self.terminal.expect('^%s +0 +\\d' % TOPIC)

    def tearDown(self):
        self.terminal.close()

    def row(self):
        return self.servers.partitions(TOPIC)[0]

    def leader_as_others_see_it(self):
        listed = self.servers.kcat('-L', '-t', TOPIC).decode()
        return int(re.search(r'partition 0, leader (-?\d+)', listed).group(1))

    def address(self, node_id):
        return '%d@%s' % (node_id, self.servers.broker(node_id).address)

    def move_away(self):
        """Takes the leadership from the preferred leader by restarting it; returns both brokers' ids."""
        preferred = self.row()['preferred_leader']
        self.servers.broker(preferred).stop()
        moved = self.servers.until('another leader', lambda: self.row()['leader'] not in (None, preferred) and self.row())
        self.terminal.expect(r'^%s +0 +%d not %d .* under-replicated$' % (TOPIC, moved['leader'], preferred))
        # What cannot be is said before, and nothing comes of saying yes to it.
        self.terminal.keys('e')
        self.terminal.expect('It cannot be elected: broker %d is (down|not in the ISR)' % preferred)
        self.terminal.keys('y')
        self.terminal.expect('nothing was changed')
        self.servers.broker(preferred).start()
        self.servers.wait_in_sync(TOPIC, 1)
        self.terminal.expect(r'^%s .* ok$' % TOPIC)
        return preferred, moved['leader']

    def test_keys_alone_elect_the_preferred_leader(self):
        terminal = self.terminal
        preferred, leader = self.move_away()
        before = self.row()
        self.assertEqual(before['leader'], leader)
        for key in 'n', 'Enter', 'Escape', 'q', 'Y', 'C-y':
            terminal.keys('e')
            terminal.expect('^Elect the preferred leader of %s-0$' % TOPIC)
            terminal.expect('^cluster +[A-Za-z0-9_-]{22}, asked at ' + re.escape(self.servers.bootstrap))
            terminal.expect('^partition +%s-0, epoch %d, ' % (TOPIC, before['leader_epoch']))
            terminal.expect('^from +%s, the leader now' % self.address(leader))
            terminal.expect('^to +%s, the preferred leader' % self.address(preferred))
            terminal.expect('^y elects. Every other key, Enter and n too, changes nothing')
            terminal.keys(key)
            terminal.expect('nothing was changed')
        terminal.keys('e', 'y')  # as pasted text would come
        terminal.expect('nothing was changed')
        after = self.row()
        self.assertEqual((after['leader'], after['leader_epoch']), (leader, before['leader_epoch']))
        self.assertEqual(self.leader_as_others_see_it(), leader)

        terminal.keys('e')
        terminal.expect('^y elects')
        terminal.keys('y')
        terminal.expect('^Elected: broker %d leads %s-0' % (preferred, TOPIC))
        terminal.expect('^leader +%s, epoch %d$' % (self.address(preferred), before['leader_epoch'] + 1))
        terminal.expect(r'^%s +0 +%d +[^n]' % (TOPIC, preferred), seconds=3)
        after = self.row()
        self.assertEqual((after['leader'], after['leader_epoch']), (preferred, before['leader_epoch'] + 1))
        self.assertEqual(self.leader_as_others_see_it(), preferred)

        terminal.keys('Enter')
        terminal.expect_gone('Any key closes')
        terminal.keys('e')
        terminal.expect('Nothing to do: broker %d is the preferred leader' % preferred)
        terminal.keys('y')
        terminal.expect('nothing was changed')
        self.assertEqual(self.row()['leader_epoch'], before['leader_epoch'] + 1)

    def test_what_changed_since_is_asked_anew(self):
        preferred, leader = self.move_away()
        terminal = self.terminal
        terminal.keys('Z')
        terminal.expect('PAUSED')
        terminal.keys('e')
        terminal.expect('^y elects')
        # Somebody else was faster.
        other = Terminal('%s -b %s --interval 0.5' % (cluster.BARNABAS, self.servers.bootstrap))
        other.expect('barnabas overview')
        other.keys('4', 'g')
        other.expect('^%s +0 +%d not' % (TOPIC, leader))
        other.keys('e')
        other.expect('^y elects')
        other.keys('y')
        other.expect('^leader +%s' % self.address(preferred))
        other.close()
        epoch = self.row()['leader_epoch']
        terminal.expect('^from +%s, the leader now' % self.address(leader))  # paused: it has not heard
        terminal.keys('y')
        terminal.expect('It changed after you were asked. Nothing was sent')
        terminal.expect('Nothing to do: broker %d is the preferred leader' % preferred)
        terminal.keys('y')
        terminal.expect('nothing was changed')
        self.assertEqual(self.row()['leader_epoch'], epoch)

    def test_every_broker_tells_of_the_quorum(self):
        told = {}
        for broker in self.servers.brokers:
            told[broker.node_id] = self.servers.until('broker %d tells the quorum' % broker.node_id,
                                                      lambda b=broker: b.console('quorum')['leader'], seconds=20)
        self.assertEqual(len(set(told.values())), 1, told)

    def stopped_lag(self, node_id, above, older_than):
        """The lag drawn for a broker whose sample ages, once it and its age have grown so far; with its marks."""
        end = time.monotonic() + 30
        while True:
            shown = self.terminal.expect(r'^%s .*\b%d:(\d+)(!?)@(\d+)s' % (TOPIC, node_id))
            lag, out, age = int(shown.group(1)), shown.group(2) == '!', int(shown.group(3))
            if lag > above and age > older_than:
                return lag, out, age
            self.assertLess(time.monotonic(), end, self.terminal.screen())
            time.sleep(0.1)

    def test_a_stopped_follower_is_shown_to_fall_behind(self):
        terminal = self.terminal
        row = self.row()
        follower = next(r['broker'] for r in row['replicas'] if r['broker'] != row['leader'])
        terminal.expect(r'^%s .*\b%d:\d+ ' % (TOPIC, follower))
        process = self.servers.broker(follower).process
        process.send_signal(signal.SIGSTOP)
        writer = Writer(self.servers, self.servers.broker(row['leader']))
        try:
            lag, out, age = self.stopped_lag(follower, 0, 0)
            began = time.monotonic()
            terminal.keys('?')  # nobody who answers late holds up a key
            terminal.expect('what it does')
            terminal.keys('?')
            terminal.expect('follower lag')
            self.assertLess(time.monotonic() - began, 2)
            lag, out, age = self.stopped_lag(follower, lag + 20, age)
            terminal.expect(r'^%s .*\b%d:\d+!@\d+s' % (TOPIC, follower), seconds=30)  # out of the ISR, and still counted
            lag, out, age = self.stopped_lag(follower, lag + 20, age)
            self.assertTrue(out)
            terminal.keys('2')
            terminal.expect(r'^ *%d +%s +(fenced|missing)' % (follower, re.escape(self.servers.broker(follower).address)), 30)
            terminal.keys('4')
        finally:
            process.send_signal(signal.SIGCONT)
            writer.end()
        terminal.expect(r'^%s .*\b%d:0( |$).* ok$' % (TOPIC, follower), seconds=30)

    def replicas_as_others_see_them(self):
        listed = self.servers.kcat('-L', '-t', TOPIC).decode()
        return [int(i) for i in re.search(r'partition 0, leader -?\d+, replicas: ([\d,]+), isr', listed).group(1).split(',')]

    def test_replicas_are_moved(self):
        terminal = self.terminal
        self.servers.kcat('-P', '-t', TOPIC, data=b'x\n' * 1000)
        before = [r['broker'] for r in self.row()['replicas']]
        leader = self.row()['leader']
        fewer = [leader] + [b for b in before if b != leader][:1]
        gone = next(b for b in before if b not in fewer)
        erase = ['BSpace'] * 5  # "a,b,c", which stands there to be edited
        for key in 'n', 'Enter', 'Escape':
            terminal.keys('m')
            terminal.expect('^:reassign %s' % ','.join(map(str, before)))
            terminal.keys(*erase, '%d,%d' % tuple(fewer), 'Enter')
            terminal.expect('^Move the replicas of %s-0$' % TOPIC)
            terminal.expect('^from +%s, led by %d' % (','.join(map(str, before)), leader))
            terminal.expect('^to +%d,%d$' % tuple(fewer))
            terminal.expect('^removes +%d, once those that stay are in the ISR' % gone)
            terminal.keys(key)
            terminal.expect('nothing was changed')
        self.assertEqual(self.replicas_as_others_see_them(), before)
        terminal.keys('m', *erase, '%d,%d' % tuple(fewer), 'Enter')
        terminal.expect('^y moves')
        terminal.keys('y')
        terminal.expect('^Under way: %s-0' % TOPIC)
        terminal.expect('^replicas +%d,%d, led by' % tuple(fewer))
        self.assertEqual(self.replicas_as_others_see_them(), fewer)
        terminal.keys('Enter', 'm')
        terminal.expect('^:reassign %d,%d' % tuple(fewer))
        terminal.keys(',%d' % gone, 'Enter')
        terminal.expect('^adds +%d, ' % gone)
        terminal.keys('y')
        terminal.expect('^replicas +%d,%d,%d, led by %d$' % (*fewer, gone, leader))
        self.servers.wait_in_sync(TOPIC, 1)
        self.assertEqual(self.replicas_as_others_see_them(), fewer + [gone])

    def group(self, name):
        return next((g for g in self.servers.brokers[0].console('groups') if g['group'] == name), None)

    def committed(self, name):
        group = self.group(name)
        return group and [o['committed'] for o in group['offsets'] if o['topic'] == TOPIC]

    def caught_up(self, name):
        """What it has committed, once it is the end of what the test wrote."""
        group = self.group(name)
        offsets = [o for o in group['offsets'] if o['topic'] == TOPIC] if group else []
        return offsets and offsets[0]['lag'] == 0 and offsets[0]['committed'] >= 20 and offsets[0]['committed']

    def test_a_groups_offsets_are_reset(self):
        terminal = self.terminal
        name = 'readers'
        self.servers.kcat('-P', '-t', TOPIC, data=b'x\n' * 20)
        consumer = subprocess.Popen(['kcat', '-b', self.servers.bootstrap, '-G', name, '-X', 'auto.offset.reset=earliest',
                                     '-X', 'auto.commit.interval.ms=200', TOPIC], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL)
        try:
            end = self.servers.until('a commit at the end', lambda: self.caught_up(name), seconds=30)
            terminal.keys('5', 'g')
            terminal.expect('^%s +Stable .* 0$' % name)  # its lag, and so its offsets, were read
            terminal.keys('o')
            terminal.expect('^:reset-offsets')
            terminal.keys(*'5', 'Enter')
            terminal.expect('It cannot be reset: the group has 1 members')
            terminal.keys('y')
            terminal.expect('nothing was changed')
        finally:
            consumer.terminate()
            consumer.wait()
        terminal.keys('Enter')
        terminal.expect('^state Empty')
        for key in 'n', 'Enter', 'Escape':
            terminal.keys('o', *'5', 'Enter')
            terminal.expect('^Reset the offsets of group %s$' % name)
            terminal.expect('^cluster +[A-Za-z0-9_-]{22}, asked at ' + re.escape(self.servers.bootstrap))
            terminal.expect('^ *%s-0 +%d then 5, lag then %d' % (TOPIC, end, end - 5))
            terminal.keys(key)
            terminal.expect('nothing was changed')
        self.assertEqual(self.committed(name), [end])
        terminal.keys('o', *'earliest', 'Enter')
        terminal.expect('^ *%s-0 +%d then 0, lag then %d' % (TOPIC, end, end))
        terminal.expect('^y resets')
        terminal.keys('y')
        terminal.expect('^Reset: 1 offsets of group %s' % name)
        terminal.expect('1 of 1 partitions are where they were to be')
        self.assertEqual(self.committed(name), [0])
        terminal.keys('Enter', 'o', *'latest', 'Enter')
        terminal.expect('^y resets')
        terminal.keys('y')
        terminal.expect('1 of 1 partitions are where they were to be')
        self.assertEqual(self.committed(name), [end])

    def check(self, *words):
        done = subprocess.run([cluster.BARNABAS, '-b', self.servers.bootstrap, *words], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_a_script_can_ask_whether_all_is_well(self):
        self.assertEqual(self.check('--wait-healthy', '--timeout', '30')[0], 0)
        status, said = self.check('--check')
        self.assertRegex(said, '^ok +cluster [A-Za-z0-9_-]{22}\n$')
        self.assertEqual(status, 0)
        follower = next(r['broker'] for r in self.row()['replicas'] if r['broker'] != self.row()['leader'])
        self.servers.broker(follower).stop()
        status, said = self.check('--check')
        self.assertRegex(said, '^warning .*\nwarning +brokers fenced or missing: 1; start them')
        self.assertEqual(status, 1)
        document = json.loads(self.check('--check', '--format', 'json')[1])
        self.assertEqual(document['verdict'], 'warning')
        self.assertIn(('warning', 1), [(r['severity'], r['count']) for r in document['reasons']])
        waited = subprocess.Popen([cluster.BARNABAS, '-b', self.servers.bootstrap, '--wait-healthy', '--timeout', '60'],
                                  stdout=subprocess.PIPE, text=True)
        other = next(b for b in self.servers.brokers if b.process.poll() is None)
        other.kill9()  # two of three: min.insync.replicas is 2, and the quorum has no majority
        self.servers.until('more than a warning', lambda: self.check('--check')[0] in (2, 3), seconds=40)
        self.assertIsNone(waited.poll())
        other.start(wait=False)
        self.servers.broker(follower).start(wait=False)
        self.assertEqual(waited.wait(60), 0)
        self.assertRegex(waited.stdout.read(), '^ok ')
        waited.stdout.close()
        status, said = self.check('--check', '-b', '127.0.0.1:1', '--timeout', '0.5')
        self.assertRegex(said, '^barnabas: gave up after 0.5 s: .*127.0.0.1:1')
        self.assertEqual(status, 3)

    def test_the_command_line_does_it_too(self):
        name = 'clerks'
        self.servers.kcat('-P', '-t', TOPIC, data=b'x\n' * 20)
        self.servers.kcat('-G', name, '-X', 'auto.offset.reset=earliest', '-X', 'enable.partition.eof=true', '-e', '-c', '10', TOPIC)
        committed = self.servers.until('a commit', lambda: self.committed(name))
        at, replicas, leader = committed[0], self.replicas_as_others_see_them(), self.row()['leader']
        turned = replicas[1:] + replicas[:1]
        place = TOPIC + ':0'
        moved = ','.join(map(str, turned))
        # What would happen; and it does not.
        for words, said in ((('reset-offsets', name, 'earliest'), '%s-0  %d then 0, lag then' % (TOPIC, at)),
                            (('reassign', place, moved), 'to +%s\n' % moved)):
            status, text = self.check(*words, '--dry-run')
            self.assertRegex(text, said)
            self.assertRegex(text, 'A dry run: nothing was changed')
            self.assertEqual(status, 0)
        self.assertEqual((self.committed(name), self.replicas_as_others_see_them()), (committed, replicas))
        # And it does.
        status, text = self.check('reset-offsets', name, '-1', place, '--format', 'json')
        document = json.loads(text)
        self.assertEqual((status, document['result']), (0, 'done'), text)
        self.assertEqual(document['changes'], [{'topic': TOPIC, 'partition': 0, 'before': at, 'after': at - 1}])
        self.assertEqual(self.committed(name), [at - 1])
        status, text = self.check('reassign', place, moved)
        self.assertRegex(text, 'Under way: %s-0(.*\n)*It stands so: %s, led by %d' % (TOPIC, moved, leader))
        self.assertEqual((status, self.replicas_as_others_see_them()), (0, turned))
        status, text = self.check('elect', place)
        self.assertRegex(text, 'Elected: broker %d leads %s-0' % (turned[0], TOPIC))
        self.assertEqual((status, self.leader_as_others_see_it()), (0, turned[0]))
        status, text = self.check('elect', place)
        self.assertRegex(text, 'Nothing to do: broker %d is the preferred leader' % turned[0])
        self.assertEqual(status, 0)
        # What cannot be, what makes no sense, and nobody there.
        for words, status, said in ((('elect', 'nowhere:0'), 1, 'no longer lists this partition'),
                                    (('reassign', place, '1,9'), 1, 'the cluster has no broker 9'),
                                    (('reassign', place, 'x'), 2, 'say which brokers'),
                                    (('elect', TOPIC + ':x'), 2, 'expected TOPIC:PARTITION'),
                                    (('reset-offsets', name), 2, 'reset-offsets takes GROUP TO'),
                                    (('reset-offsets', name, 'soon'), 2, 'say where to'),
                                    (('evict', place), 2, 'evict is no command'),
                                    (('--dry-run',), 2, '--dry-run is of a command'),
                                    (('elect', place, '-b', '127.0.0.1:1', '--timeout', '0.5'), 3, 'nothing was sent: ')):
            self.assertRegex(self.check(*words)[1], said)
            self.assertEqual(self.check(*words)[0], status, words)

    def test_nothing_is_sent_into_the_dark(self):
        """Every broker stopped: what was said cannot be checked, and so is not done."""
        preferred, leader = self.move_away()
        epoch = self.row()['leader_epoch']
        terminal = self.terminal
        terminal.keys('e')
        terminal.expect('^y elects')
        for broker in self.servers.brokers:
            broker.process.send_signal(signal.SIGSTOP)
        try:
            terminal.keys('y')
            terminal.expect('Reading the cluster once more before it is sent')
            terminal.expect('^Nothing was sent: ', seconds=30)
        finally:
            for broker in self.servers.brokers:
                broker.process.send_signal(signal.SIGCONT)
        self.servers.wait_in_sync(TOPIC, 1)
        terminal.keys('Escape')
        terminal.expect_gone('Any key closes')
        if self.row()['leader'] == leader:  # the stop may have cost it its session
            self.assertEqual(self.row()['leader_epoch'], epoch)


if __name__ == '__main__':
    cluster.need('tmux', 'kcat')
    unittest.main()
