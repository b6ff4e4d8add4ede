"""Arguments, first lines, exit codes, and what keeps a broker from starting."""
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

import cluster
from cluster import BARNABASD, Broker


def run(*words, seconds=30):
    return subprocess.run([BARNABASD] + list(words), capture_output=True, text=True, timeout=seconds,
                          stdin=subprocess.DEVNULL)


class Arguments(unittest.TestCase):
    def test_version_and_help(self):
        self.assertRegex(run('--version').stdout, r'^barnabasd \d+\.\d+\.\d+\n$')
        text = run('--help').stdout
        for word in ('--config', '--data-dir', '--set', '--check-config', '--version', '--help', 'exit codes'):
            self.assertIn(word, text)

    def test_unknown_argument(self):
        done = run('--nonsense')
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown argument '--nonsense'", done.stderr)

    def test_wrong_setting_names_file_line_key_and_expectation(self):
        root = cluster.tempfile.mkdtemp(prefix='barnabas-test.')
        path = os.path.join(root, 'b.ini')
        with open(path, 'w') as file:
            file.write('[broker]\nnode.id = 1\nlog.segment.bytes = abc\n')
        done = run('--config', path, '--check-config')
        self.assertEqual(done.returncode, 2)
        for word in (path + ':3', 'log.segment.bytes', 'abc', 'expected'):
            self.assertIn(word, done.stderr)
        with open(path, 'w') as file:
            file.write('[broker]\nlog.segment.byte = 1048576\n')
        done = run('--config', path, '--check-config')
        self.assertEqual(done.returncode, 2)
        self.assertIn('log.segment.bytes', done.stderr, 'the nearest known key is named')
        shutil.rmtree(root)

    def test_check_config_is_silent_about_the_disk(self):
        root = cluster.tempfile.mkdtemp(prefix='barnabas-test.')
        done = run('--check-config', '--data-dir', os.path.join(root, 'd'))
        self.assertEqual(done.returncode, 0)
        self.assertEqual(os.listdir(root), [])
        shutil.rmtree(root)


class Life(unittest.TestCase):
    def setUp(self):
        self.broker = Broker()

    def tearDown(self):
        self.broker.close()

    def test_first_lines_and_clean_stop(self):
        self.broker.start()
        lines = self.broker.out().splitlines()
        self.assertEqual(lines[0].split(), ['data', self.broker.data])
        self.assertEqual(lines[1].split()[0], 'cluster')
        self.assertEqual(len(lines[1].split()[1]), 22)
        self.assertEqual(lines[2].split(), ['address', self.broker.address])
        self.assertEqual(lines[3], 'try: barnabas -b ' + self.broker.address)
        self.assertEqual(self.broker.stop(), 0)
        self.assertTrue(os.path.exists(os.path.join(self.broker.data, '.kafka_cleanshutdown')))

    def test_keeps_its_identity(self):
        first = self.broker.start().out().splitlines()[1]
        self.broker.stop()
        self.assertEqual(self.broker.start().out().splitlines()[1], first)

    def refused(self, *settings, words=()):
        done = run('--data-dir', self.broker.data, '--set', 'listeners=PLAINTEXT://127.0.0.1:0',
                   *[w for s in settings for w in ('--set', s)], *words)
        self.assertEqual(done.returncode, 3, done.stderr)
        said = [line for line in done.stderr.splitlines() if line.startswith('barnabasd: ')]
        self.assertEqual(len(said), 1, done.stderr)
        return said[0]

    def test_second_process_on_the_directory(self):
        self.broker.start()
        self.assertIn(self.broker.data, self.refused())
        self.assertIsNone(self.broker.process.poll())

    def test_directory_of_another_node_or_cluster(self):
        self.broker.start()
        self.broker.stop()
        self.assertIn('node 1', self.refused('node.id=7'))
        self.assertIn('cluster', self.refused('cluster.id=AAAAAAAAAAAAAAAAAAAAAQ'))
        self.assertEqual(self.broker.start().stop(), 0, 'nothing was harmed')

    def test_port_in_use(self):
        holder = socket.socket()
        holder.bind(('127.0.0.1', self.broker.port))
        holder.listen()
        self.broker.start(wait=False)
        self.assertEqual(self.broker.process.wait(30), 3)
        self.assertIn(str(self.broker.port), self.broker.log())
        holder.close()

    def test_unwritable_directory(self):
        path = os.path.join(self.broker.root, 'file')
        open(path, 'w').close()
        done = run('--data-dir', os.path.join(path, 'x'), '--set', 'listeners=PLAINTEXT://127.0.0.1:0')
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(path, done.stderr)


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = Broker().start()

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def closes_with(self, data, words):
        before = self.broker.log()
        with socket.create_connection(('127.0.0.1', self.broker.port)) as sock:
            sock.settimeout(10)
            name = '%s:%d' % sock.getsockname()
            sock.sendall(data)
            self.assertEqual(sock.recv(100), b'', 'the connection is closed')
        end = time.monotonic() + 10
        while name not in self.broker.log()[len(before):]:
            self.assertLess(time.monotonic(), end, 'one line names the peer')
            time.sleep(0.01)
        lines = [l for l in self.broker.log()[len(before):].splitlines() if name in l]
        self.assertEqual(len(lines), 1)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertIn(b'broker 1', self.broker.kcat('-L'), 'others are served')

    def request(self, key, version, body):
        data = struct.pack('>hhih', key, version, 7, -1) + body
        return struct.pack('>i', len(data)) + data

    def test_negative_length(self):
        self.closes_with(struct.pack('>i', -5), ['negative'])

    def test_oversized_length(self):
        self.closes_with(struct.pack('>i', 0x7fffffff), ['2147483647', 'larger'])

    def test_unknown_api(self):
        self.closes_with(self.request(999, 0, b''), ['999'])

    def test_unsupported_version(self):
        self.closes_with(self.request(3, 99, b''), ['99'])

    def test_malformed_body(self):
        self.closes_with(self.request(3, 1, b'\x7f\xff\xff\xff'), ['Metadata'])

    def test_huge_array_count(self):
        self.closes_with(self.request(1, 4, struct.pack('>iiiibi', -1, 0, 0, 0, 0, 0x7ffffff0)), ['Fetch'])

    def test_noise(self):
        self.closes_with(b'GET / HTTP/1.1\r\n\r\n', ['larger'])

    def test_api_versions_of_the_future(self):
        """KIP-511: answered in version 0 with UNSUPPORTED_VERSION and our range."""
        with socket.create_connection(('127.0.0.1', self.broker.port)) as sock:
            sock.sendall(self.request(18, 77, b'whatever'))
            size = struct.unpack('>i', sock.recv(4))[0]
            body = sock.recv(size)
        self.assertEqual(struct.unpack('>ihihhh', body), (7, 35, 1, 18, 0, 4))


class Quorum(unittest.TestCase):
    """Three controllers elect a leader, and another one when it is killed."""

    def leader(self, nodes, not_in=()):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for number, node in nodes.items():
                lines = [l for l in node.log().splitlines() if 'metadata quorum: leader' in l]
                leader = int(lines[-1].split('leader ')[1].split()[0]) if lines else -1
                if leader > 0 and leader not in not_in:
                    return leader
            time.sleep(0.02)
        raise AssertionError('no leader: ' + '\n'.join(n.log()[-500:] for n in nodes.values()))

    def test_election_and_failover(self):
        ports = cluster.free_ports(3)
        voters = ','.join('%d@127.0.0.1:%d' % (i + 1, port) for i, port in enumerate(ports))
        nodes = {}
        for i, port in enumerate(ports):
            node = Broker('node.id=%d' % (i + 1), 'process.roles=controller', 'listeners=CONTROLLER://127.0.0.1:%d' % port,
                          'controller.listener.names=CONTROLLER', 'controller.quorum.voters=' + voters)
            nodes[i + 1] = node.start(wait=False)
        for node in nodes.values():
            node.wait_ready()
        first = self.leader(nodes)
        nodes[first].kill9()
        rest = {number: node for number, node in nodes.items() if number != first}
        second = self.leader(rest, not_in=(first,))
        nodes[first].start()
        self.assertEqual(self.leader(nodes), second)
        for node in nodes.values():
            self.assertEqual(node.stop(), 0, node.log()[-2000:])
            node.close()


class Signals(unittest.TestCase):
    def test_sigint_stops_cleanly_and_sighup_does_not(self):
        broker = Broker().start()
        broker.process.send_signal(signal.SIGHUP)
        self.assertIn(b'broker 1', broker.kcat('-L'))
        broker.process.send_signal(signal.SIGINT)
        self.assertEqual(broker.process.wait(30), 0)
        broker.close()


if __name__ == '__main__':
    cluster.need('kcat')
    unittest.main()
