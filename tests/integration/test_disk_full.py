"""A disk that fills up and is freed again, under an idempotent acks=all producer: nothing acknowledged is lost or
twice there, reading goes on, and writing goes on without a restart.

The disk is a small tmpfs in a mount namespace of the test's own."""
import errno
import os
import subprocess
import sys
import tempfile
import time
import unittest

import cluster
from cluster import Broker

NUMBERS = os.environ.get('NUMBERS', 'build/debug/tests/integration/numbers')
DISK_BYTES = 64 << 20
COUNT = 150000
PER_SECOND = 12000


def in_namespace():
    """Runs this script again where it may mount; skips in words where that is not allowed."""
    if os.environ.get('DISK_FULL_INSIDE'):
        return
    can = subprocess.run(['unshare', '--mount', '--propagation', 'private', 'mount', '-t', 'tmpfs', '-o', 'size=1m',
                          'tmpfs', '/mnt'], capture_output=True, text=True)
    if can.returncode != 0:
        print('SKIPPED: needs the right to mount a tmpfs in a namespace of its own: ' + can.stderr.strip())
        sys.exit(77)
    os.environ['DISK_FULL_INSIDE'] = '1'
    os.execvp('unshare', ['unshare', '--mount', '--propagation', 'private', sys.executable, '-B'] + sys.argv)


class DiskFull(unittest.TestCase):
    def setUp(self):
        self.disk = tempfile.mkdtemp(prefix='barnabas-disk.')
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=%d' % DISK_BYTES, 'tmpfs', self.disk], check=True)
        self.filler = os.path.join(self.disk, 'filler')
        self.data = os.path.join(self.disk, 'data')
        self.broker = Broker('num.partitions=1', 'log.segment.bytes=1048576', data_dir=self.data).start()

    def tearDown(self):
        self.broker.close()
        subprocess.run(['umount', '-l', self.disk], check=True)
        os.rmdir(self.disk)

    def fill(self, leave):
        """All but `leave` bytes. The broker writes meanwhile: what was free a moment ago may be taken."""
        with open(self.filler, 'wb') as file:
            for _ in range(100):
                free = os.statvfs(self.disk)
                try:
                    os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - leave)
                    return
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
        self.fail('the disk could not be filled')

    def acked(self):
        return [int(line) for line in cluster.read(self.acked_path).split('\n')[:-1]]

    def wait(self, what, reached, seconds=30):
        end = time.monotonic() + seconds
        while not reached():
            self.assertLess(time.monotonic(), end, what + '\n' + self.broker.log()[-3000:])
            self.assertIsNone(self.broker.process.poll(), self.broker.log()[-3000:])
            time.sleep(0.05)

    def stored(self):
        return [int(line) for line in self.broker.kcat('-C', '-t', 'n', '-e', '-q').split()]

    def test_filled_and_freed(self):
        self.acked_path = os.path.join(self.broker.root, 'acked')
        with open(self.acked_path, 'w') as out:
            producer = subprocess.Popen([NUMBERS, self.broker.address, 'n', str(COUNT), str(PER_SECOND)], stdout=out,
                                        stderr=subprocess.PIPE)
        for round_number in range(1, 3):
            before = len(self.acked())
            self.wait('numbers are acknowledged', lambda: len(self.acked()) > before + 10000)
            self.fill(leave=100000)
            self.wait('the broker says that the disk is full',
                      lambda: self.broker.log().count(self.data + ' is full') >= 1 and
                      os.statvfs(self.disk).f_bavail < 32)
            time.sleep(2)
            stuck = len(self.acked())
            time.sleep(2)
            self.assertEqual(len(self.acked()), stuck, 'nothing is acknowledged without room')
            stored = self.stored()
            self.assertEqual(stored, list(range(len(stored))))
            self.assertGreaterEqual(len(stored), stuck, 'what was acknowledged is served')
            refused = subprocess.run(['kcat', '-b', self.broker.address, '-P', '-t', 'n', '-X', 'acks=all', '-X',
                                      'message.timeout.ms=1500'], input=b'x', capture_output=True)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(b'broker 1', self.broker.kcat('-L'))
            os.unlink(self.filler)
            freed = time.monotonic()
            self.wait('numbers are acknowledged again', lambda: len(self.acked()) > stuck, 10)
            print('round %d: %d numbers acknowledged when full, the next %.1f s after there was room' %
                  (round_number, stuck, time.monotonic() - freed))
        _, said = producer.communicate(timeout=200)
        self.assertEqual(producer.returncode, 0, said.decode())
        self.assertEqual(len(self.acked()), COUNT)
        self.assertEqual(self.stored(), list(range(COUNT)), 'every number once and in order')
        self.assertNotIn('goes offline', self.broker.log())
        self.assertEqual(self.broker.stop(), 0)
        self.broker.start()
        self.assertEqual(self.stored(), list(range(COUNT)))

    def test_a_topic_made_on_a_full_disk(self):
        self.broker.kcat('-P', '-t', 'old', data=b'kept\n')
        self.fill(leave=0)
        refused = subprocess.run(['kcat', '-b', self.broker.address, '-P', '-t', 'new', '-X', 'message.timeout.ms=2000'],
                                 input=b'x', capture_output=True)
        self.assertNotEqual(refused.returncode, 0)
        self.assertEqual(self.broker.kcat('-C', '-t', 'old', '-e', '-q'), b'kept\n')
        os.unlink(self.filler)
        self.broker.kcat('-P', '-t', 'new', '-X', 'message.timeout.ms=60000', data=b'y\n')
        self.assertIn(b'y', self.broker.kcat('-C', '-t', 'new', '-e', '-q'))
        self.assertEqual(self.broker.stop(), 0)

    def test_stopped_and_started_full(self):
        lines = b''.join(b'%d\n' % i for i in range(20000))
        self.broker.kcat('-P', '-t', 'n', '-X', 'acks=all', data=lines)
        self.fill(leave=0)
        self.broker.stop()
        self.broker.start(wait=False)
        self.wait('it says what it waits for', lambda: 'nothing is voted or led until there is room' in self.broker.log())
        os.unlink(self.filler)
        self.broker.wait_ready()
        self.assertEqual(self.stored(), list(range(20000)))
        self.broker.kcat('-P', '-t', 'n', '-X', 'acks=all', data=b'20000\n')
        self.assertEqual(self.stored(), list(range(20001)))
        self.assertEqual(self.broker.stop(), 0)


if __name__ == '__main__':
    cluster.need('kcat', 'unshare', 'mount')
    in_namespace()
    unittest.main()
