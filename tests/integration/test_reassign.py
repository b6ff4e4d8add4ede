"""Partitions move to other brokers under an idempotent acks=all producer of numbers, and a broker is killed in mid-way:
every number it was acknowledged is there once and in order, the new replicas are in sync, and those who gave a
partition up have it no more."""
import os
import signal
import socket
import struct
import time
import unittest

import cluster
from cluster import Cluster
from test_failover import Load, PARTITIONS

ALTER, LIST = 45, 46


def varint(value):
    out = b''
    while value >= 0x80:
        out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
    return out + bytes([value])


def compact(text):
    return varint(len(text) + 1) + text.encode()


def ids(numbers):
    return varint(0) if numbers is None else varint(len(numbers) + 1) + b''.join(struct.pack('>i', n) for n in numbers)


def connect(addresses):
    """To the first that is there."""
    for address in addresses:
        try:
            host, port = address.split(':')
            return socket.create_connection((host, int(port)), 30)
        except ConnectionRefusedError:
            continue
    raise AssertionError('nobody listens at ' + ', '.join(addresses))


def exchange(addresses, key, version, body):
    """One request with a flexible header, and the answer behind its."""
    request = struct.pack('>hhih', key, version, 1, 4) + b'test' + b'\0' + body
    with connect(addresses) as sock:
        sock.sendall(struct.pack('>i', len(request)) + request)
        with sock.makefile('rb') as stream:
            return stream.read(struct.unpack('>i', stream.read(4))[0])[5:]


def reassign(servers, topic, targets):
    """`targets`: by partition, None takes it back. Returns the whole's error and the partitions'."""
    parts = b''.join(struct.pack('>i', p) + ids(target) + b'\0' for p, target in targets.items())
    body = struct.pack('>i', 30000) + varint(2) + compact(topic) + varint(len(targets) + 1) + parts + b'\0' + b'\0'
    answer = exchange(servers.bootstrap.split(','), ALTER, 0, body)
    error, at = struct.unpack_from('>h', answer, 4)[0], 6
    at += max(answer[at], 1)                           # error message
    assert answer[at] == 2, answer                     # one topic
    at += 1 + answer[at + 1]
    codes, count, at = [], answer[at] - 1, at + 1
    for _ in range(count):
        codes.append(struct.unpack_from('>h', answer, at + 4)[0])
        at += 6 + max(answer[at + 6], 1) + 1           # an error message, tags
    return error, codes


def under_way(servers):
    """How many topics have partitions on the move, by any broker's word."""
    answer = exchange(servers.bootstrap.split(',')[::-1], LIST, 0, struct.pack('>i', 30000) + b'\0' + b'\0')
    assert answer[4:7] == b'\0\0\0', answer
    return answer[7] - 1


class Reassign(unittest.TestCase):
    def setUp(self):
        self.servers = Cluster(4, 'num.partitions=%d' % PARTITIONS, 'default.replication.factor=3', 'min.insync.replicas=2').start()
        self.load = Load(self.servers, 'n', self.servers.root)
        self.load.wait_more()
        self.rows = self.servers.wait_in_sync('n', PARTITIONS, 3)

    def tearDown(self):
        self.load.close()
        self.servers.close()

    def replicas(self):
        return {p: [r['broker'] for r in row['replicas']] for p, row in self.servers.partitions('n').items()}

    def wait_moved(self, targets):
        self.servers.until('no reassignment under way', lambda: under_way(self.servers) == 0)
        self.servers.until('replicas %s' % targets, lambda: all(
            sorted(self.replicas().get(p, [])) == sorted(target) for p, target in targets.items()))
        self.servers.wait_in_sync('n', PARTITIONS, 3)
        for p, target in targets.items():
            for broker in self.servers.brokers:
                if broker.node_id not in target:
                    self.servers.until('broker %d has given up n-%d' % (broker.node_id, p),
                                       lambda: not os.path.exists(os.path.join(broker.data, 'n-%d' % p)))

    def judge(self):
        acked = self.load.end()
        self.assertEqual(sorted(acked), list(range(len(acked))), 'what was sent was acknowledged, once')
        for partition in range(PARTITIONS):
            stored = self.servers.kcat('-C', '-t', 'n', '-p', str(partition), '-o', 'beginning', '-e', '-q').split()
            self.assertEqual([int(line) for line in stored], list(range(partition, len(acked), PARTITIONS)),
                             'every number once and in order')
        for broker in self.servers.brokers:
            broker.process.send_signal(signal.SIGTERM)
        for broker in self.servers.brokers:
            self.assertEqual(broker.process.wait(60), 0, broker.log()[-3000:])

    def others(self):
        """Each partition led by the one broker that has not held it, in place of its leader."""
        now = {p: [r['broker'] for r in row['replicas']] for p, row in self.rows.items()}
        return {p: [({1, 2, 3, 4} - set(held)).pop()] + [n for n in held if n != self.rows[p]['leader']] for p, held in now.items()}

    def test_under_load(self):
        targets = self.others()
        started = time.monotonic()
        self.assertEqual(reassign(self.servers, 'n', targets), (0, [0] * PARTITIONS))
        self.load.wait_more()
        self.wait_moved(targets)
        print('moved %d partitions in %.2f s' % (PARTITIONS, time.monotonic() - started), flush=True)
        self.assertEqual(reassign(self.servers, 'n', {0: None}), (0, [85]), 'nothing to take back')
        self.load.wait_more()
        self.judge()

    def test_a_new_replica_is_killed_and_the_controller_too(self):
        targets = self.others()
        victim = self.servers.broker(targets[0][0])
        victim.kill9()
        started = time.monotonic()
        self.assertEqual(reassign(self.servers, 'n', targets), (0, [0] * PARTITIONS))
        self.load.wait_more()
        self.assertEqual(under_way(self.servers), 1)
        self.servers.active_controller().kill9()       # of four voters two are left: none decides
        victim.start(wait=False)
        for broker in self.servers.brokers:
            if broker.process.poll() is not None:
                broker.start(wait=False)
        for broker in self.servers.brokers:
            broker.wait_ready()
        self.wait_moved(targets)
        print('moved, two killed in between, in %.2f s' % (time.monotonic() - started), flush=True)
        self.load.wait_more()
        self.judge()


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
