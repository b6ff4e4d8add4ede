"""What kcat wrote comes back byte for byte; what was acknowledged survives kill -9, once and in order."""
import os
import random
import subprocess
import time
import unittest

import cluster
from cluster import Broker

NUMBERS = os.environ.get('NUMBERS', 'build/debug/tests/integration/numbers')


class RoundTrip(unittest.TestCase):
    def setUp(self):
        self.broker = Broker('num.partitions=1').start()

    def tearDown(self):
        self.assertEqual(self.broker.stop(), 0, self.broker.log()[-3000:])
        self.broker.close()

    def test_200000_lines_idempotent(self):
        lines = b''.join(b'line %d of the text\n' % i for i in range(200000))
        self.broker.kcat('-P', '-t', 'text', '-X', 'enable.idempotence=true', data=lines)
        self.assertEqual(self.broker.kcat('-C', '-t', 'text', '-e', '-q'), lines)

    def test_every_codec(self):
        lines = b''.join(b'line %d\n' % i for i in range(2000))
        for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
            self.broker.kcat('-P', '-t', codec, '-z', codec, data=lines)
            self.assertEqual(self.broker.kcat('-C', '-t', codec, '-e', '-q'), lines, codec)

    def test_acks(self):
        for acks in ('0', '1', 'all'):
            topic = 'acks-' + acks
            self.broker.kcat('-P', '-t', topic, '-X', 'acks=' + acks, data=b'a\nb\nc\n')
            end = time.monotonic() + 20
            while self.broker.kcat('-C', '-t', topic, '-e', '-q') != b'a\nb\nc\n':
                self.assertLess(time.monotonic(), end)

    def test_offsets_by_time(self):
        self.broker.kcat('-P', '-t', 'times', data=b'one\n')
        time.sleep(0.05)
        middle = int(time.time() * 1000)
        self.broker.kcat('-P', '-t', 'times', data=b'two\n')
        self.assertEqual(self.broker.kcat('-Q', '-t', 'times:0:%d' % middle).split()[-1], b'1')
        self.assertEqual(self.broker.kcat('-Q', '-t', 'times:0:-2').split()[-1], b'0')
        self.assertEqual(self.broker.kcat('-Q', '-t', 'times:0:-1').split()[-1], b'2')

    def test_data_survives_a_restart(self):
        self.broker.kcat('-P', '-t', 'kept', data=b'x\ny\n')
        self.assertEqual(self.broker.stop(), 0)
        self.broker.start()
        self.assertEqual(self.broker.kcat('-C', '-t', 'kept', '-e', '-q'), b'x\ny\n')


class Kill9(unittest.TestCase):
    KILLS = int(os.environ.get('KILLS', '10'))
    COUNT = int(os.environ.get('COUNT', '90000'))

    def test_acknowledged_survives(self):
        rng = random.Random(7)
        broker = Broker('num.partitions=1').start()
        acked_path = os.path.join(broker.root, 'acked')
        with open(acked_path, 'w') as out:
            producer = subprocess.Popen([NUMBERS, broker.address, 'n', str(self.COUNT), '15000'], stdout=out,
                                        stderr=subprocess.PIPE)
        for _ in range(self.KILLS):
            time.sleep(0.2 + rng.random() * 0.5)
            broker.kill9()
            broker.start()
        _, said = producer.communicate(timeout=200)
        self.assertEqual(producer.returncode, 0, said.decode())
        acked = [int(line) for line in cluster.read(acked_path).split()]
        self.assertEqual(len(acked), self.COUNT)
        stored = [int(line) for line in broker.kcat('-C', '-t', 'n', '-e', '-q').split()]
        self.assertEqual(stored, list(range(self.COUNT)), 'every number once and in order')
        self.assertEqual(broker.stop(), 0)
        broker.close()


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
