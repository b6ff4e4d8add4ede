"""Nodes in network namespaces of their own, joined by veth and a switch of ours (network.c) that cuts, loses and delays.

enter() starts the script again in namespaces of its own, network and mounts: whatever is made there is gone with it."""
import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

import cluster

NETWORK = os.environ.get('NETWORK', 'build/debug/tests/integration/network')
INSIDE = 'BARNABAS_TEST_INSIDE'
CLIENTS = 0  # the place of the clients; node N is at place N


def enter():
    """Returns inside. Says why and ends with 77 where it is not allowed."""
    if INSIDE in os.environ:
        return
    cluster.need('unshare', 'nsenter', 'ip')
    words = ['unshare', '--net', '--mount'] + (['--user', '--map-root-user'] if os.geteuid() else [])
    # In the first mount: ip keeps its names of namespaces under /run.
    inside = 'mount -t tmpfs none /run && mkdir /run/netns && ip link set lo up'
    tried = subprocess.run(words + ['sh', '-c', inside + ' && ip netns add try && ip link add e0 type veth peer name p0'],
                           capture_output=True)
    if tried.returncode != 0:
        print('SKIPPED: no network namespaces here: ' + tried.stderr.decode().strip())
        sys.exit(77)
    os.environ[INSIDE] = '1'
    os.execvp(words[0], words + ['sh', '-c', 'mount -t tmpfs none /run && ip link set lo up && exec "$@"', 'sh',
                                 sys.executable, '-B'] + sys.argv)


def ip(*words):
    subprocess.run(['ip'] + list(words), check=True)


def without_offload(name):
    """Frames leave whole: small ones, and with their checksums."""
    with socket.socket() as sock:
        for command in (0x17, 0x1f, 0x24, 0x2c):  # ETHTOOL_STXCSUM, _STSO, _SGSO, _SGRO
            value = ctypes.create_string_buffer(struct.pack('II', command, 0))
            fcntl.ioctl(sock, 0x8946, struct.pack('16sP8x', name.encode(), ctypes.addressof(value)))  # SIOCETHTOOL


class Network:
    """Places 0 (this namespace, the clients) to count - 1 (namespaces n1, n2, ...); place N has the address 10.77.0.N+1."""

    def __init__(self, count):
        self.count = count
        ip('netns', 'add', 'switch')
        ports = []
        for place in range(count):
            ends = ['e%d' % place, 'p%d' % place]
            ip('link', 'add', ends[0], 'type', 'veth', 'peer', 'name', ends[1])
            for end in ends:
                without_offload(end)
            ip('link', 'set', ends[1], 'netns', 'switch')
            ip('-n', 'switch', 'link', 'set', ends[1], 'up')
            ports.append(ends[1])
            at = []
            if place:
                ip('netns', 'add', 'n%d' % place)
                ip('link', 'set', ends[0], 'netns', 'n%d' % place)
                at = ['-n', 'n%d' % place]
                ip(*at, 'link', 'set', 'lo', 'up')
            ip(*at, 'address', 'add', self.host(place) + '/24', 'dev', ends[0])
            ip(*at, 'link', 'set', ends[0], 'up')
        self.switch = subprocess.Popen(['nsenter', '--net=/run/netns/switch', NETWORK] + ports, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True, bufsize=1)
        assert self.switch.stdout.readline() == 'ready\n'

    @staticmethod
    def host(place):
        return '10.77.0.%d' % (place + 1)

    def way(self, start, end, loss=0, delay_ms=0, jitter_ms=0):
        line = '%d %d %g %g %g\n' % (start, end, loss, delay_ms, jitter_ms)
        self.switch.stdin.write(line)
        assert self.switch.stdout.readline() == line

    def cut(self, start, end):
        """One way only."""
        self.way(start, end, loss=100)

    def cut_off(self, place, places):
        """From these places, both ways."""
        for other in places:
            self.cut(place, other)
            self.cut(other, place)

    def every_way(self, **how):
        for start in range(self.count):
            for end in range(self.count):
                if start != end:
                    self.way(start, end, **how)

    def heal(self):
        self.every_way()

    def close(self):
        self.switch.stdin.close()
        self.switch.wait()
        self.switch.stdout.close()
        for name in ['switch'] + ['n%d' % place for place in range(1, self.count)]:
            ip('netns', 'delete', name)


class Broker(cluster.Broker):
    """In the namespace of its node id."""

    def arguments(self):
        return ['nsenter', '--net=/run/netns/n%d' % self.node_id] + super().arguments()


class Cluster(cluster.Cluster):
    """Several nodes, each broker and controller in one, each in its namespace."""

    def __init__(self, count, *settings):
        self.network = Network(count + 1)
        self.root = tempfile.mkdtemp(prefix='barnabas-test.')
        hosts = [Network.host(place) for place in range(1, count + 1)]
        voters = ','.join('%d@%s:9093' % (i + 1, host) for i, host in enumerate(hosts))
        self.brokers = []
        for i, host in enumerate(hosts):
            broker = Broker('node.id=%d' % (i + 1), 'process.roles=broker,controller',
                            'listeners=PLAINTEXT://%s:9092,CONTROLLER://%s:9093' % (host, host),
                            'controller.listener.names=CONTROLLER', 'controller.quorum.voters=' + voters, *settings)
            broker.address = host + ':9092'
            self.brokers.append(broker)
        self.bootstrap = ','.join(broker.address for broker in self.brokers)

    def close(self):
        super().close()
        self.network.close()
