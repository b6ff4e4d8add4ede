"""Three brokers in three network namespaces under writers and readers: ways between them are cut, one way and both,
lossy and slow; leader, controller, both and all are killed and stopped. What clients saw is judged by history.py, the
logs of the replicas are compared byte by byte, and after every fault all replicas are in sync within a bounded time.

    ROUNDS=5 SEED=7 test_namespaces.py      five rounds of every fault in an order drawn from 7, with Kafka's default times
    FAULTS='ring kill_all'                  of these only
"""
import glob
import os
import random
import signal
import subprocess
import threading
import time
import unittest

import cluster
import history
import namespaces
from admin import Conn
from cluster import read

WRITER = os.environ.get('WRITER', 'build/debug/tests/integration/writer')
ROUNDS = int(os.environ.get('ROUNDS', '0'))  # 0: the short form
SEED = int(os.environ.get('SEED', '1'))
PARTITIONS = 3
PER_SECOND = 300
# The short form has shorter times, so that a fault need not last long.
SHORT = ('broker.session.timeout.ms=1500', 'broker.heartbeat.interval.ms=300', 'replica.lag.time.max.ms=1500',
         'controller.quorum.fetch.timeout.ms=600', 'controller.quorum.election.timeout.ms=300')
# In the long form a new controller and then the session of a broker that hangs (9 s) fit in, with time to get on after them.
FAULT_S = 20 if ROUNDS else 2.5
# From the end of a fault to three replicas in sync everywhere, and to every client having something acknowledged: the
# system of a client that was cut off tries again after as long as the cut was.
IN_SYNC_S = 15
HEAL_S = 40 if ROUNDS else 15
# Of the controllers, in one fault and its end: who is cut off must not make epochs rise (KIP-996).
MOST_ELECTIONS = 4


class Client:
    """A process that writes lines to a file."""

    def __init__(self, words, path, end_signal):
        self.words, self.path, self.end_signal = words, path, end_signal
        with open(path, 'w') as out, open(path + '.said', 'w') as said:
            self.process = subprocess.Popen(words, stdout=out, stderr=said)

    def lines(self):
        """Whole lines."""
        return read(self.path).split('\n')[:-1]

    def said(self):
        return read(self.path + '.said')[-3000:]

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(self.end_signal)
        self.process.wait(90)


class Creator(threading.Thread):
    """Creates topics one after the other, and deletes every other one again, by whichever broker has its turn; keeps
    account of what it was promised. What was asked in vain may have been done or not."""

    def __init__(self, addresses):
        super().__init__(daemon=True)
        self.addresses = addresses
        self.enough = threading.Event()
        self.there = set()
        self.gone = set()
        self.asked = 0
        self.in_vain = 0  # of the tries for the present one

    def ask(self, request, done):
        """True when it was done, by this or by an earlier try."""
        for i in range(3):
            try:
                with Conn(self.addresses[(self.asked + i) % len(self.addresses)], seconds=3) as conn:
                    code = request(conn)
                    if code in (0, done):
                        return True
                    self.in_vain += 1
            except OSError:
                self.in_vain += 1
            if self.enough.wait(0.1):
                break
        return False

    def run(self):
        while not self.enough.wait(0.3):
            name = 'm-%d' % self.asked
            self.asked += 1
            self.in_vain = 0
            if not self.ask(lambda conn: conn.create_topic(name, 1, 3, timeout_ms=2000), 36):
                continue
            if self.asked % 2:
                self.there.add(name)
            # A try in vain may be carried out after all, when what was cut is whole again.
            elif self.ask(lambda conn: conn.delete_topic(name, timeout_ms=2000), 3) and self.in_vain == 0:
                self.gone.add(name)

    def end(self):
        self.enough.set()
        self.join()


class Namespaces(unittest.TestCase):
    def setUp(self):
        self.servers = namespaces.Cluster(3, 'min.insync.replicas=2', *(() if ROUNDS else SHORT))
        self.network = self.servers.network
        self.addCleanup(self.servers.close)
        self.servers.start()
        with Conn(self.servers.brokers[0].address) as conn:
            self.assertEqual(conn.create_topic('h', PARTITIONS, 3), 0)
        self.servers.wait_in_sync('h', PARTITIONS)
        # The idempotent ones wait for what a hanging broker owes them, for a minute by default, and for as long write
        # nothing new; with less, librdkafka 2.0 loses count of what it sent. The third one does not wait.
        self.writers = {'a': self.write('a', 'enable.idempotence=true'),
                        'b': self.write('b', 'enable.idempotence=true'),
                        'c': self.write('c', 'message.timeout.ms=3000', 'socket.timeout.ms=3000', 'retries=0')}
        # A producer that has no id yet waits for it as long as who was asked hangs.
        self.wait_more('every writer writes')
        self.creator = Creator([broker.address for broker in self.servers.brokers])
        self.creator.start()
        self.addCleanup(self.creator.enough.set)
        self.readers = {'r%d' % i: self.read('r%d' % i) for i in range(2)}

    def write(self, name, *settings):
        words = [WRITER, self.servers.bootstrap, 'h', str(PARTITIONS), str(PER_SECOND), name, 'reconnect.backoff.max.ms=500']
        return self.run_client(words + list(settings), name, signal.SIGTERM)

    def read(self, name):
        return self.run_client(['kcat', '-C', '-E', '-u', '-b', self.servers.bootstrap, '-t', 'h', '-o', 'beginning', '-f',
                                '%p %o %s\n', '-X', 'reconnect.backoff.max.ms=500'], name, signal.SIGTERM)

    def run_client(self, words, name, end_signal):
        client = Client(words, os.path.join(self.servers.root, name), end_signal)
        self.addCleanup(client.process.wait)
        self.addCleanup(client.process.kill)
        return client

    # ---- who is who ----

    def leader(self):
        """The leader of partition 0."""
        rows = self.servers.until('a leader', lambda: self.servers.partitions('h'))
        return self.servers.broker(rows[0]['leader'])

    def others(self, broker):
        return [other for other in self.servers.brokers if other is not broker]

    def acked(self):
        """{writer: how many records}"""
        return {name: sum(line.startswith('ok') for line in writer.lines()) for name, writer in self.writers.items()}

    def wait_more(self, why):
        """Until every writer has had acknowledgements after this."""
        at = self.acked()
        try:
            self.servers.until(why, lambda: all(now > at[name] + PER_SECOND // 4 for name, now in self.acked().items()), HEAL_S)
        except AssertionError as error:
            raise AssertionError('\n'.join([str(error)] + ['writer %s: %s\n%s' % (name, writer.lines()[-3:], writer.said())
                                                            for name, writer in self.writers.items()]))

    def epoch(self):
        return self.servers.until('the quorum', lambda: self.servers.console('quorum'))['leader_epoch']

    # ---- faults: each says what it did, lasts, and is undone ----

    def cut_leader(self):
        leader = self.leader()
        self.network.cut_off(leader.node_id, [other.node_id for other in self.others(leader)])
        return 'leader %d cut off from its peers' % leader.node_id, self.network.heal

    def cut_controller_from_all(self):
        active = self.servers.active_controller()
        self.network.cut_off(active.node_id, [place for place in range(4) if place != active.node_id])
        return 'controller %d cut off from everybody' % active.node_id, self.network.heal

    def cut_one_way(self, broker, outwards):
        for other in self.others(broker):
            ends = (broker.node_id, other.node_id)
            self.network.cut(*(ends if outwards else reversed(ends)))

    def controller_unheard(self):
        active = self.servers.active_controller()
        self.cut_one_way(active, True)
        return 'controller %d not heard by its peers' % active.node_id, self.network.heal

    def controller_deaf(self):
        active = self.servers.active_controller()
        self.cut_one_way(active, False)
        return 'controller %d does not hear its peers' % active.node_id, self.network.heal

    def leader_deaf(self):
        leader = self.leader()
        self.cut_one_way(leader, False)
        return 'leader %d does not hear its peers' % leader.node_id, self.network.heal

    def ring(self):
        """1 hears 2, 2 hears 3, 3 hears 1, and nobody hears anybody else."""
        for start, end in ((1, 2), (2, 3), (3, 1)):
            self.network.cut(start, end)
        return 'each hears one other only', self.network.heal

    def lossy(self):
        self.network.every_way(loss=5, delay_ms=10, jitter_ms=20)
        return '5% lost, 10 to 30 ms each way', self.network.heal

    def slow(self):
        leader = self.leader()
        for other in self.others(leader):
            self.network.way(leader.node_id, other.node_id, delay_ms=200, jitter_ms=100)
            self.network.way(other.node_id, leader.node_id, delay_ms=200, jitter_ms=100)
        return 'leader %d 200 to 300 ms away from its peers' % leader.node_id, self.network.heal

    def kill(self, brokers, what):
        for broker in brokers:
            broker.process.kill()
        for broker in brokers:
            broker.process.wait()

        def undo():
            for broker in brokers:
                broker.start(wait=False)
            for broker in brokers:
                broker.wait_ready()
        return 'killed ' + what, undo

    def stop(self, brokers, what):
        for broker in brokers:
            broker.process.send_signal(signal.SIGSTOP)

        def undo():
            for broker in brokers:
                broker.process.send_signal(signal.SIGCONT)
        return 'stopped ' + what, undo

    def leader_and_controller(self):
        return list({broker.node_id: broker for broker in (self.leader(), self.servers.active_controller())}.values())

    def kill_leader(self):
        return self.kill([self.leader()], 'the leader')

    def kill_controller(self):
        return self.kill([self.servers.active_controller()], 'the controller')

    def kill_both(self):
        return self.kill(self.leader_and_controller(), 'leader and controller')

    def kill_all(self):
        return self.kill(self.servers.brokers, 'all')

    def stop_leader(self):
        return self.stop([self.leader()], 'the leader')

    def stop_controller(self):
        return self.stop([self.servers.active_controller()], 'the controller')

    def stop_both(self):
        return self.stop(self.leader_and_controller(), 'leader and controller')

    def stop_all(self):
        return self.stop(self.servers.brokers, 'all')

    def clients_cut_off(self):
        leader = self.leader()
        self.network.cut_off(leader.node_id, [namespaces.CLIENTS])
        return 'clients cut off from leader %d' % leader.node_id, self.network.heal

    # Where the rest is a majority that clients reach, they get on meanwhile.
    GO_ON = (cut_leader, cut_controller_from_all, lossy, slow, kill_leader, kill_controller, stop_leader, stop_controller)
    ALL = GO_ON + (controller_unheard, controller_deaf, leader_deaf, ring, kill_both, kill_all, stop_both, stop_all,
                   clients_cut_off)
    SHORT = (cut_leader, controller_deaf, lossy, kill_all)

    def strike(self, fault):
        before = sum(self.acked().values())
        epoch = self.epoch()
        words, undo = fault(self)
        lasts = 0.3 if fault is Namespaces.kill_all else FAULT_S
        time.sleep(lasts)
        meanwhile = sum(self.acked().values()) - before
        undo()
        started = time.monotonic()
        self.servers.wait_in_sync('h', PARTITIONS, seconds=IN_SYNC_S)
        in_sync = time.monotonic() - started
        self.wait_more('every writer writes after: ' + words)
        elections = self.epoch() - epoch
        print('%s, %.1f s: %d acknowledged meanwhile, all in sync %.1f s and acknowledged %.1f s after, %d elections' %
              (words, lasts, meanwhile, in_sync, time.monotonic() - started, elections), flush=True)
        if ROUNDS:  # the short form's times are shorter than what a busy machine may hold a process up
            self.assertLessEqual(elections, MOST_ELECTIONS, words + '\n' + self.servers.logs())
        if ROUNDS and fault in self.GO_ON:
            self.assertGreater(meanwhile, 100, words + '\n' + self.servers.logs())

    # ---- judgement ----

    def judge(self):
        for client in self.writers.values():
            client.end()
        self.servers.wait_in_sync('h', PARTITIONS, seconds=HEAL_S)
        final = history.parse_reads(self.servers.kcat('-C', '-e', '-q', '-t', 'h', '-o', 'beginning', '-f', '%p %o %s\n')
                                    .decode().split('\n')[:-1])
        for client in self.readers.values():
            self.servers.until('a reader at the end', lambda: len(client.lines()) >= len(final), 30)
            client.end()
        writers = [history.Writer(name, client.lines(), idempotent=name != 'c') for name, client in self.writers.items()]
        reads = {name: history.parse_reads(client.lines()) for name, client in self.readers.items()}
        found = history.judge(writers, reads, final)
        self.assertEqual(found, {}, '\n' + history.explain(found) + '\n' + self.servers.logs())
        for writer in writers:
            print('writer %s: %d sent, %d acknowledged, %d failed, %d unknown' %
                  (writer.name, len(writer.sent), len(writer.acked), len(writer.failed), len(writer.unknown)))
            if writer.idempotent:
                self.assertEqual(len(writer.acked), len(writer.sent), 'nobody gives up within the default time')

    def judge_topics(self):
        """Every broker knows the topics that were promised, none that was promised to be gone, and all the same ones."""
        self.creator.end()
        for broker in self.servers.brokers:
            with Conn(broker.address) as conn:
                self.servers.until('every broker knows the topics', lambda: self.topics_of(conn) >= self.creator.there, 10)
        time.sleep(1)
        known = []
        for broker in self.servers.brokers:
            with Conn(broker.address) as conn:
                known.append(self.topics_of(conn))
        self.assertTrue(known[0] == known[1] == known[2], known)
        self.assertEqual(known[0] & self.creator.gone, set())
        print('topics: %d asked for, %d there, %d deleted again' %
              (self.creator.asked, len(self.creator.there), len(self.creator.gone)))
        self.assertGreater(len(self.creator.there), self.creator.asked // 10)

    @staticmethod
    def topics_of(conn):
        return {topic for topic, _ in conn.leaders()}

    def compare_logs(self):
        for broker in self.servers.brokers:
            self.assertEqual(broker.stop(), 0, broker.log()[-3000:])
        for partition in range(PARTITIONS):
            logs = []
            for broker in self.servers.brokers:
                logs.append(b'')
                for path in sorted(glob.glob('%s/h-%d/*.log' % (broker.data, partition))):
                    with open(path, 'rb') as file:
                        logs[-1] += file.read()
            self.assertGreater(len(logs[0]), 0)
            self.assertTrue(logs[0] == logs[1] == logs[2], 'replicas of h-%d differ' % partition)

    def test_faults(self):
        names = os.environ.get('FAULTS', '').split()
        faults = [getattr(Namespaces, name) for name in names] or list(self.ALL if ROUNDS else self.SHORT)
        random.seed(SEED)
        for _ in range(ROUNDS or 1):
            if ROUNDS:
                random.shuffle(faults)
            for fault in faults:
                self.strike(fault)
        self.judge()
        self.judge_topics()
        self.compare_logs()


if __name__ == '__main__':
    cluster.need('kcat')
    namespaces.enter()
    unittest.main()
