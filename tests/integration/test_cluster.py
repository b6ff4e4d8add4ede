"""Several nodes, one cluster: whichever broker is asked, the active controller decides, wherever it is; nodes die, hang,
are kept apart by role, and stop in order or all at once."""
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

import cluster
from cluster import Broker, Cluster

NONE, REQUEST_TIMED_OUT, EXISTS = 0, 7, 36
CREATE_TOPICS, CREATE_TOPICS_VERSION = 19, 4


def text(value):
    return struct.pack('>h', len(value)) + value.encode()


def create(broker, name, replication_factor=1, partitions=1, timeout_ms=20000):
    """CreateTopics, asked at this broker and no other; the error code of its answer."""
    body = struct.pack('>i', 1) + text(name) + struct.pack('>ihii', partitions, replication_factor, 0, 0)
    body += struct.pack('>i?', timeout_ms, False)
    data = struct.pack('>hhi', CREATE_TOPICS, CREATE_TOPICS_VERSION, 7) + text('test_cluster') + body
    host, port = broker.address.split(':')
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall(struct.pack('>i', len(data)) + data)
        answer = sock.makefile('rb')
        size = struct.unpack('>i', answer.read(4))[0]
        answer = answer.read(size)
    correlation, _throttle, count, length = struct.unpack_from('>iiih', answer)
    assert (correlation, count) == (7, 1), answer
    assert answer[14:14 + length] == name.encode(), answer
    return struct.unpack_from('>h', answer, 14 + length)[0]


def metadata(broker):
    """What this broker says of the cluster: the ids of the brokers, and each topic's replicas."""
    said = json.loads(broker.kcat('-L', '-J'))
    topics = {t['topic']: [[r['id'] for r in p['replicas']] for p in t['partitions']] for t in said['topics']}
    return sorted(b['id'] for b in said['brokers']), topics


class Nodes(unittest.TestCase):
    servers = None

    def tearDown(self):
        if self.servers is not None:
            self.servers.close()

    def run_cluster(self, *settings):
        self.servers = Cluster(3, 'offsets.topic.num.partitions=3', *settings).start()
        return self.servers.brokers

    def wait_seen(self, brokers, ids, topics=()):
        """Until each of these brokers tells of exactly these brokers, and of these topics."""
        for broker in brokers:
            def seen():
                there, known = metadata(broker)
                return there == ids and all(name in known for name in topics) and (known,)
            (known,) = self.servers.until('broker %d tells of brokers %s, topics %s' % (broker.node_id, ids, topics), seen, 30)
        return known

    def create_at(self, brokers, word, replication_factor):
        """One topic through each; every broker learns of them all."""
        names = []
        for broker in brokers:
            name = '%s-%d' % (word, broker.node_id)
            names.append(name)
            self.assertEqual(create(broker, name, replication_factor), NONE, self.servers.logs())
            self.assertEqual(create(broker, name, replication_factor), EXISTS)
        known = self.wait_seen(brokers, sorted(b.node_id for b in brokers), names)
        for name in names:
            self.assertEqual([len(set(replicas)) for replicas in known[name]], [replication_factor])

    def stop_all(self, *brokers):
        """SIGTERM to all of them; how long each took. Every one ends well."""
        started = time.monotonic()
        for broker in brokers:
            broker.process.send_signal(signal.SIGTERM)
        took = []
        for broker in brokers:
            self.assertEqual(broker.process.wait(60), 0, broker.log()[-3000:])
            self.assertTrue(os.path.exists(os.path.join(broker.data, '.kafka_cleanshutdown')), broker.log()[-3000:])
            took.append(time.monotonic() - started)
        return took


class Cooperation(Nodes):
    def test_every_broker_takes_what_the_controller_decides(self):
        brokers = self.run_cluster()
        self.wait_seen(brokers, [1, 2, 3])
        self.create_at(brokers, 'one', 1)
        self.create_at(brokers, 'three', 3)
        for broker in brokers:
            self.assertNotIn('asking again', broker.log().split('address')[-1])

    def test_offsets_are_kept_three_times(self):
        """Also when a group is the first that comes, and nobody said how often."""
        brokers = self.run_cluster()
        self.assertEqual(create(brokers[0], 't', 3), NONE)
        brokers[1].kcat('-P', '-t', 't', data=b'x\n')
        brokers[2].kcat('-G', 'g', '-e', '-c', '1', '-X', 'auto.offset.reset=earliest', 't')
        offsets = metadata(brokers[0])[1]['__consumer_offsets']
        self.assertEqual([sorted(replicas) for replicas in offsets], [[1, 2, 3]] * 3)

    def test_producer_ids_differ(self):
        """Each broker's blocks come from the controller: no two producers share an id."""
        brokers = self.run_cluster('default.replication.factor=3')
        self.assertEqual(create(brokers[0], 't', 3), NONE)
        for broker in brokers:
            broker.kcat('-P', '-t', 't', '-X', 'enable.idempotence=true', data=b'x\n')
        self.assertEqual(brokers[0].kcat('-C', '-t', 't', '-e', '-q').split(), [b'x'] * 3)

    def test_active_controller_dies(self):
        brokers = self.run_cluster()
        self.create_at(brokers, 'before', 1)
        victim = self.servers.active_controller()
        victim.kill9()
        rest = [broker for broker in brokers if broker is not victim]
        self.create_at(rest, 'without', 2)
        victim.start()
        self.create_at(brokers, 'after', 3)

    def test_another_broker_dies(self):
        brokers = self.run_cluster()
        active = self.servers.active_controller()
        victim = next(broker for broker in brokers if broker is not active)
        victim.kill9()
        self.create_at([broker for broker in brokers if broker is not victim], 'without', 2)
        victim.start()
        self.create_at(brokers, 'after', 3)

    def test_active_controller_hangs(self):
        """It keeps its connections and says nothing: the others find a new one, and what waits goes there."""
        brokers = self.run_cluster()
        self.wait_seen(brokers, [1, 2, 3])
        victim = self.servers.active_controller()
        rest = [broker for broker in brokers if broker is not victim]
        victim.process.send_signal(signal.SIGSTOP)
        try:
            for broker in rest:
                self.assertEqual(create(broker, 'hung-%d' % broker.node_id, 1), NONE, self.servers.logs())
        finally:
            victim.process.send_signal(signal.SIGCONT)
        self.wait_seen(brokers, [1, 2, 3], ['hung-%d' % broker.node_id for broker in rest])
        self.create_at(brokers, 'after', 3)

    def test_no_controller(self):
        """Alone among three, a broker says within the request's time that nothing is to be had, and can be stopped."""
        brokers = self.run_cluster()
        self.wait_seen(brokers, [1, 2, 3])
        brokers[0].kill9()
        brokers[1].kill9()
        started = time.monotonic()
        self.assertEqual(create(brokers[2], 'never', 1, timeout_ms=3000), REQUEST_TIMED_OUT)
        self.assertLess(time.monotonic() - started, 10)
        self.assertLess(self.stop_all(brokers[2])[0], 15)


class Stopping(Nodes):
    def load(self):
        brokers = self.run_cluster('default.replication.factor=3', 'min.insync.replicas=1')
        self.assertEqual(create(brokers[0], 't', 3, partitions=6), NONE)
        self.servers.wait_in_sync('t', 6)
        return brokers

    def test_in_order(self):
        """Each but the last hands over what it leads; a restart finds everything."""
        brokers = self.load()
        for broker in brokers:
            took = self.stop_all(broker)[0]
            print('stop of broker %d in order: %.2f s' % (broker.node_id, took), flush=True)
            self.assertLess(took, 15)
            if broker is not brokers[2]:
                led = {row['leader'] for row in self.servers.partitions('t').values()}
                self.assertNotIn(broker.node_id, led)
                self.assertNotIn(None, led)
        for broker in brokers:
            broker.start(wait=False)
        for broker in brokers:
            broker.wait_ready()
        self.servers.wait_in_sync('t', 6)

    def test_all_at_once(self):
        brokers = self.load()
        for _ in range(2):
            took = self.stop_all(*brokers)
            print('stop of three at once: %s s' % ', '.join('%.2f' % seconds for seconds in took), flush=True)
            self.assertLess(max(took), 15)
            for broker in brokers:
                broker.start(wait=False)
            for broker in brokers:
                broker.wait_ready()
            self.servers.wait_in_sync('t', 6)

    def test_second_signal_does_not_wait(self):
        brokers = self.load()
        brokers[0].kill9()
        brokers[1].kill9()
        brokers[2].process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        started = time.monotonic()
        self.stop_all(brokers[2])
        self.assertLess(time.monotonic() - started, 3)


class Apart(unittest.TestCase):
    """Three controllers and two brokers, each a process of one role."""

    def setUp(self):
        ports = cluster.free_ports(5)
        voters = ','.join('%d@127.0.0.1:%d' % (i + 1, ports[i]) for i in range(3))
        common = ['controller.listener.names=CONTROLLER', 'controller.quorum.voters=' + voters]
        self.controllers = [Broker('node.id=%d' % (i + 1), 'process.roles=controller', 'listeners=CONTROLLER://127.0.0.1:%d' % ports[i],
                                   *common) for i in range(3)]
        self.brokers = []
        for i in (3, 4):
            broker = Broker('node.id=%d' % (i + 1), 'process.roles=broker', 'listeners=PLAINTEXT://127.0.0.1:%d' % ports[i], *common)
            broker.port = ports[i]
            broker.address = '127.0.0.1:%d' % ports[i]
            self.brokers.append(broker)
        for node in self.controllers + self.brokers:
            node.start(wait=False)
        for node in self.controllers + self.brokers:
            node.wait_ready()

    def tearDown(self):
        for node in self.controllers + self.brokers:
            node.close()

    def until_seen(self, names):
        end = time.monotonic() + 30
        for broker in self.brokers:
            while True:
                there, known = metadata(broker)
                if there == [4, 5] and all(name in known for name in names):
                    break
                self.assertLess(time.monotonic(), end, broker.log()[-3000:])
                time.sleep(0.05)
        return known

    def leader(self):
        return self.brokers[0].console('quorum')['leader']

    def test_roles_apart(self):
        for broker in self.brokers:
            self.assertEqual(create(broker, 'a-%d' % broker.node_id, 2), NONE, broker.log()[-3000:])
        known = self.until_seen(['a-4', 'a-5'])
        self.assertEqual(sorted(known['a-4'][0]), [4, 5])
        self.assertEqual(sorted(row['node'] for row in self.brokers[1].console('quorum')['voters']), [1, 2, 3])
        victim = self.controllers[self.leader() - 1]
        victim.kill9()
        for broker in self.brokers:
            self.assertEqual(create(broker, 'b-%d' % broker.node_id, 2), NONE, broker.log()[-3000:])
        victim.start()
        self.brokers[0].kill9()
        self.brokers[0].start()
        self.until_seen(['b-4', 'b-5'])
        started = time.monotonic()
        for node in self.controllers + self.brokers:  # as a machine does that goes down
            node.process.send_signal(signal.SIGTERM)
        for node in self.controllers + self.brokers:
            self.assertEqual(node.process.wait(60), 0, node.log()[-3000:])
        self.assertLess(time.monotonic() - started, 20)


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
