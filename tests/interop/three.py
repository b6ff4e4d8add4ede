#!/usr/bin/env python3
"""Other projects' programs against a cluster of three brokers.

    tests/interop/three.py tools      Kafka's own tools, asked at every broker and at the controllers
    tests/interop/three.py failover CLIENT...    clients (java, python, go, node) produce and consume while a broker is
                                      killed and comes back
    tests/interop/three.py apache     an Apache Kafka broker joins, follows and leads
    tests/interop/three.py joins      a broker of ours joins a cluster that Apache Kafka controls

In the environment: BARNABASD and NUMBERS, and what tests/interop/run.sh has made: JARS (Kafka's, a directory), CLASSES,
CACHE (where python, go and node have what they need).
"""
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'integration'))

import cluster  # noqa: E402  (found through the line above)
from cluster import Broker, Cluster  # noqa: E402
from test_cluster import create  # noqa: E402

NUMBERS = os.environ.get('NUMBERS', 'build/asan/tests/integration/numbers')
LOG_IMPORT = os.environ.get('LOG_IMPORT', 'build/asan/tests/unit/log/log_import')
JAVA = ['java', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.showDateTime=true',
        '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS']


# The metadata log begins late: who joins has to fetch a snapshot.
TRIMMED = ('metadata.log.max.record.bytes.between.snapshots=1500', 'metadata.max.retention.bytes=1',
           'internal.metadata.log.segment.bytes=20000', 'controller.quorum.fetch.snapshot.max.bytes=1000')


def java_words(level):
    path = os.environ['CLASSES'] + ':' + os.environ['JARS'] + '/*'
    return JAVA + ['-Dorg.slf4j.simpleLogger.defaultLogLevel=' + level, '-cp', path]


def java(level, *words, **how):
    return subprocess.Popen(java_words(level) + list(words), **how)


def checkpoints(data):
    return sorted(name for name in os.listdir(os.path.join(data, '__cluster_metadata-0')) if name.endswith('.checkpoint'))


def begin_late(servers):
    for i in range(10):
        assert create(servers.brokers[0], 'early%d' % i, 3, 2) == 0
    servers.until('metadata logs begin late', lambda: all('now, what came before is in snapshots' in b.log() for b in servers.brokers))


class Tools:
    """Kafka's command line tools, in one JVM."""

    def __init__(self):
        self.process = java('off', 'Tools', stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(self, name, *words):
        """(exit code, what it printed)"""
        name = name if name.startswith('kafka.') else 'org.apache.kafka.tools.' + name
        self.process.stdin.write('\t'.join([name, *words]) + '\n')
        self.process.stdin.flush()
        said = []
        for line in self.process.stdout:
            if line.startswith('=== exit '):
                return int(line.split()[2]), ''.join(said)
            said.append(line)
        raise AssertionError('the tools ended: ' + ''.join(said))

    def __call__(self, expected, name, *words, code=0):
        """What the tool prints must match `expected`."""
        got, said = self.call(name, *words)
        assert got == code and re.search(expected, said), '%s %s: exit %d, wanted %d and "%s":\n%s' % (
            name, ' '.join(words), got, code, expected, said)
        return said

    def until(self, expected, name, *words, seconds=30):
        end = time.monotonic() + seconds
        while True:
            said = self.call(name, *words)[1]
            if re.search(expected, said):
                return said
            assert time.monotonic() < end, '%s %s: no "%s" within %d s:\n%s' % (name, ' '.join(words), expected, seconds, said)
            time.sleep(0.3)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0


def replicas_of_quorum(said):
    """The rows of kafka-metadata-quorum describe --replication, by node id."""
    rows = {}
    for line in said.splitlines():
        words = line.split()
        if len(words) == 7 and words[0].isdigit():
            rows[int(words[0])] = dict(zip(('directory', 'end', 'lag', 'fetched', 'caught_up', 'status'), words[1:]))
    return rows


def check_quorum(tools, where, servers, observers=()):
    """Every voter and observer is described, near the leader's end and of late."""
    leader = servers.active_controller().node_id
    said = tools(r'LeaderId: +%d\b' % leader, 'MetadataQuorumCommand', *where, 'describe', '--status')
    for broker in servers.brokers:
        assert re.search(r'CurrentVoters:.*"id": *%d\b' % broker.node_id, said), said
    for observer in observers:
        assert re.search(r'CurrentObservers:.*"id": *%d\b' % observer, said), said
    assert int(re.search(r'MaxFollowerLag: +(-?\d+)', said).group(1)) in range(50), said
    said = tools('Leader', 'MetadataQuorumCommand', *where, 'describe', '--replication')
    rows = replicas_of_quorum(said)
    assert sorted(rows) == sorted([b.node_id for b in servers.brokers] + list(observers)), said
    directories = set()
    for node_id, row in rows.items():
        status = 'Leader' if node_id == leader else 'Observer' if node_id in observers else 'Follower'
        assert row['status'] == status, said
        assert int(row['end']) > 0 and int(row['lag']) in range(50), said
        assert status == 'Leader' or abs(time.time() * 1000 - int(row['fetched'])) < 10000, said
        assert abs(time.time() * 1000 - int(row['caught_up'])) < 10000, said
        directories.add(row['directory'])
    assert len(directories) == len(rows) and 'A' * 22 not in directories, said


def tools_round():
    servers = Cluster(3, 'default.replication.factor=3', 'min.insync.replicas=2', 'num.partitions=2').start()
    tools = Tools()
    bootstrap = ['--bootstrap-server', servers.bootstrap]
    tools.until('(?s)(id: [123] .*){3}', 'BrokerApiVersionsCommand', *bootstrap)
    # Each broker takes what only the controller can do, and each controller says how the quorum is.
    for broker in servers.brokers:
        at, topic = ['--bootstrap-server', broker.address], 'made-%d' % broker.node_id
        for i in range(3):  # the client picks a broker for such requests
            tools('Created topic', 'TopicCommand', *at, '--create', '--topic', '%s-%d' % (topic, i), '--partitions', '3',
                  '--replication-factor', '3')
        tools(r'PartitionCount: 3\s+ReplicationFactor: 3.*min.insync.replicas=2', 'TopicCommand', *at, '--describe', '--topic', topic + '-0')
        tools('Produce', 'BrokerApiVersionsCommand', *at)
        check_quorum(tools, at, servers)
        check_quorum(tools, ['--bootstrap-controller', broker.controller_address], servers)
        tools('', 'TopicCommand', *at, '--delete', '--topic', topic + '-[12]')
    names = tools('made-1-0', 'TopicCommand', *bootstrap, '--list').split()
    assert sorted(n for n in names if n.startswith('made')) == ['made-1-0', 'made-2-0', 'made-3-0'], names
    tools('topic made-1-0 exists already', 'TopicCommand', *bootstrap, '--create', '--topic', 'made-1-0', code=1)
    tools('4 replicas need as many brokers', 'TopicCommand', *bootstrap, '--create', '--topic', 'four', '--replication-factor', '4', code=1)

    # One dies: its partitions are led by others, and are named as under-replicated until it is back.
    whole = tools.until('', 'TopicCommand', *bootstrap, '--describe', '--under-replicated-partitions').strip()
    assert whole == '', whole
    victim = servers.active_controller()
    victim.kill9()
    under = tools.until(r'(?s)(Topic: made.*){9}', 'TopicCommand', *bootstrap, '--describe', '--under-replicated-partitions')
    assert not re.search(r'Leader: (%d|none)\b' % victim.node_id, under), under
    assert tools('', 'TopicCommand', *bootstrap, '--describe', '--unavailable-partitions').strip() == ''
    victim.start()
    tools.until(r'^\s*$', 'TopicCommand', *bootstrap, '--describe', '--under-replicated-partitions')

    # Back to the preferred leaders: one partition, those of a file, all.
    elect = ['LeaderElectionCommand', *bootstrap, '--election-type', 'preferred']
    moved = {}
    for topic, partition, leader, preferred in re.findall(r'Topic: (\S+)\s+Partition: (\d+)\s+Leader: (\d+)\s+Replicas: (\d+)',
                                                          tools('made', 'TopicCommand', *bootstrap, '--describe')):
        if leader != preferred:
            moved[(topic, int(partition))] = int(preferred)
    assert len(moved) == 3 and set(moved.values()) == {victim.node_id}, moved
    (topic, partition), (in_file, its_partition), last = sorted(moved)
    tools('Successfully completed leader election', *elect, '--topic', topic, '--partition', str(partition))
    tools('Valid replica already elected', *elect, '--topic', topic, '--partition', str(partition))
    path = os.path.join(servers.root, 'elect.json')
    with open(path, 'w') as file:
        json.dump({'partitions': [{'topic': in_file, 'partition': its_partition}]}, file)
    tools('Successfully completed leader election', *elect, '--path-to-json-file', path)
    tools('Successfully completed leader election.*%s-%d' % last, *elect, '--all-topic-partitions')
    for topic, partition in sorted(moved):
        tools(r'Topic: %s\s+Partition: %d\s+Leader: %d\b' % (topic, partition, victim.node_id), 'TopicCommand', *bootstrap,
              '--describe', '--topic', topic)
    tools('does not exist|UNKNOWN_TOPIC', *elect, '--topic', 'nowhere', '--partition', '0', code=1)
    tools.close()
    stop_all(servers)


def going(client, *words):
    """A client that produces and consumes until it has all."""
    cache = os.environ.get('CACHE', '')
    if client == 'java':
        return java('error', 'Going', *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    program = {'python': [cache + '/python/bin/python', '-B', os.path.join(HERE, 'python', 'going.py')],
               'go': [cache + '/go/bin/going'], 'node': ['node', cache + '/node/going.js']}[client]
    return subprocess.Popen(program + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def failover_round(*clients):
    count, per_second = 5000, 500
    servers = Cluster(3, 'default.replication.factor=3', 'min.insync.replicas=2', 'offsets.topic.replication.factor=3',
                      'offsets.topic.num.partitions=3', 'group.initial.rebalance.delay.ms=200').start()
    tools = Tools()
    for client in clients:
        tools('Created topic', 'TopicCommand', '--bootstrap-server', servers.bootstrap, '--create', '--topic', client,
              '--partitions', '3')
    running = [(client, going(client, servers.bootstrap, client, 'group-' + client, str(count), str(per_second)))
               for client in clients]

    time.sleep(3)
    victim = servers.active_controller()
    victim.kill9()
    time.sleep(3)
    victim.start()
    for client, process in running:
        said = process.communicate(timeout=120)[0]
        print(client, said.splitlines()[-1] if said else '')
        assert process.returncode == 0, '%s: %s\n%s' % (client, said, servers.logs())
    for client in clients:
        servers.wait_in_sync(client, 3)
        for partition in range(3):
            read = servers.kcat('-C', '-t', client, '-p', str(partition), '-o', 'beginning', '-e', '-q').split()
            assert read == [b'%d' % n for n in range(partition, count, 3)], '%s-%d: %d records' % (client, partition, len(read))
        said = tools('GROUP', 'consumer.group.ConsumerGroupCommand', '--bootstrap-server', servers.bootstrap, '--describe', '--group',
                     'group-' + client)
        ends = re.findall(r'^group-%s +%s +\d +(\d+) +(\d+) +0 ' % (client, client), said, re.M)
        assert len(ends) == 3 and sum(int(committed) for committed, _ in ends) == count, said
    tools.close()
    stop_all(servers)


def first_segment(data, topic, partition):
    return os.path.join(data, '%s-%d' % (topic, partition), '%020d.log' % 0)


class Apache:
    """One node of Apache Kafka, in two log directories."""

    def __init__(self, node_id, cluster_id, tools, *settings, features=()):
        self.node_id, self.process, self.starts = node_id, None, 0
        self.port, = cluster.free_ports(1)
        self.address = '127.0.0.1:%d' % self.port
        self.root = tempfile.mkdtemp(prefix='barnabas-test.')
        self.data = [os.path.join(self.root, name) for name in ('data-a', 'data-b')]
        self.settings = os.path.join(self.root, 'server.properties')
        listener = 'PLAINTEXT://' + self.address
        with open(self.settings, 'w') as file:
            file.write('\n'.join(['node.id=%d' % node_id, 'controller.listener.names=CONTROLLER', 'log.dirs=' + ','.join(self.data),
                                  'listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
                                  'offsets.topic.num.partitions=4', 'group.initial.rebalance.delay.ms=200', '']
                                 + [setting.replace('LISTENER', listener) + '\n' for setting in settings]))
        levels = [word for feature in features for word in ('--feature', feature)]
        tools('Formatting', 'kafka.tools.StorageTool', 'format', '-t', cluster_id, '-c', self.settings, *levels)
        cluster.LIVE.append(self)

    def start(self):
        self.starts += 1
        self.log_path = os.path.join(self.root, 'log.%d' % self.starts)
        with open(self.log_path, 'w') as log:
            self.process = java('info', 'kafka.Kafka', self.settings, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while 'Kafka Server started' not in self.log():
            assert self.process.poll() is None and time.monotonic() < end, 'Apache Kafka did not start:\n' + self.log()[-5000:]
            time.sleep(0.1)

    def log(self):
        return cluster.read(self.log_path)

    def segment(self, topic, partition):
        """The path of the partition's first segment."""
        return next(path for path in (first_segment(data, topic, partition) for data in self.data) if os.path.exists(path))

    def wrong(self):
        """What it complained of, but for connections to those who were killed."""
        return [line for line in self.log().splitlines() if re.search(r'\] ERROR |\w*Exception\b', line)
                and not re.search('onnection|DuplicateBrokerRegistration|Client was shutdown', line)]

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self):
        if self.process is not None:
            self.kill9()
        shutil.rmtree(self.root, ignore_errors=True)
        cluster.LIVE.remove(self)


class Load:
    """An idempotent acks=all producer of numbers, number N to partition N modulo 2."""

    def __init__(self, bootstrap, topic):
        self.bootstrap, self.topic = bootstrap, topic
        self.acked = tempfile.NamedTemporaryFile('r', prefix='barnabas-test.')
        with open(self.acked.name, 'w') as out:
            self.process = subprocess.Popen([NUMBERS, bootstrap, topic, '1000000', '1000', '2'], stdout=out, stderr=subprocess.DEVNULL)
        cluster.LIVE.append(self)

    def close(self):
        self.process.kill()
        self.process.wait()
        cluster.LIVE.remove(self)

    def end(self):
        """How many numbers there are: all that were drawn were acknowledged, and each is there once and in order."""
        end = time.monotonic() + 60
        while len(cluster.read(self.acked.name).split()) <= 2000 and time.monotonic() < end:
            time.sleep(0.05)  # what it was to go on through may have been over in no time
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0
        numbers = sorted(int(line) for line in self.acked.read().split())
        assert numbers == list(range(len(numbers))) and len(numbers) > 2000, len(numbers)
        for partition in range(2):
            done = subprocess.run(['kcat', '-b', self.bootstrap, '-C', '-t', self.topic, '-p', str(partition), '-o', 'beginning', '-e', '-q'],
                                  capture_output=True, timeout=60, check=True)
            read = [int(n) for n in done.stdout.split()]
            assert read == numbers[partition::2], '%s-%d: %d records' % (self.topic, partition, len(read))
        return len(numbers)


def check_same(paths):
    assert len({open(path, 'rb').read() for path in paths}) == 1, 'not the same: ' + ' '.join(paths)


def group_in(partition, partitions):
    """A group's name that __consumer_offsets keeps in that partition: Java's String.hashCode."""
    number = 0
    while True:
        name, value = 'group-%d' % number, 0
        for char in name:
            value = (31 * value + ord(char)) & 0xffffffff
        if (value & 0x7fffffff) % partitions == partition:
            return name
        number += 1


def groups_round(tools, bootstrap, topic, count, coordinator):
    """A group in every partition of __consumer_offsets, so at every coordinator there is: each reads and commits. One of the coordinators
    is the broker named."""
    at = ['--bootstrap-server', bootstrap]
    members = [(group_in(partition, 4), partition) for partition in range(4)]
    running = [subprocess.Popen(['kcat', '-b', bootstrap, '-X', 'auto.offset.reset=earliest', '-q', '-c', str(count), '-G', group, topic],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for group, _ in members]
    with concurrent.futures.ThreadPoolExecutor(len(running)) as pool:
        for process, (read, said) in zip(running, pool.map(lambda process: process.communicate(timeout=60), running)):
            assert process.returncode == 0 and sorted(int(n) for n in read.split()) == list(range(count)), said
    said = tools('', 'TopicCommand', *at, '--describe', '--topic', '__consumer_offsets')
    leaders = dict(re.findall(r'Partition: (\d+)\s+Leader: (\d+)', said))
    assert coordinator in leaders.values(), said
    for group, partition in members:
        said = tools('', 'consumer.group.ConsumerGroupCommand', *at, '--describe', '--group', group)
        committed = re.findall(r'^%s +%s +\d +(\d+) +\d+ +0 ' % (group, topic), said, re.M)
        assert sum(int(n) for n in committed) == count, 'group of broker %s: %s' % (leaders[str(partition)], said)


def apache_round():
    servers = Cluster(3, 'default.replication.factor=3', 'min.insync.replicas=2', 'offsets.topic.replication.factor=3',
                      'offsets.topic.num.partitions=4', 'group.initial.rebalance.delay.ms=200', *TRIMMED).start()
    tools = Tools()
    begin_late(servers)
    cluster_id = re.search(r'^cluster\.id=(.+)$', cluster.read(os.path.join(servers.brokers[0].data, 'meta.properties')), re.M)
    apache = Apache(4, cluster_id.group(1), tools, 'process.roles=broker', 'listeners=LISTENER', 'min.insync.replicas=2',
                    'controller.quorum.voters=' + ','.join('%d@%s' % (b.node_id, b.controller_address) for b in servers.brokers),
                    'offsets.topic.replication.factor=3')
    apache.start()
    at = ['--bootstrap-server', servers.bootstrap]
    tools.until(r'id: 4 ', 'BrokerApiVersionsCommand', *at)
    check_quorum(tools, at, servers, observers=[4])
    fetched = [name for name in checkpoints(apache.data[0]) if not name.startswith('0' * 20)]
    assert fetched and fetched[0][:20] + '.log' in os.listdir(os.path.join(apache.data[0], '__cluster_metadata-0')), fetched
    read = subprocess.run(java_words('off') + ['org.apache.kafka.tools.DumpLogSegments', '--cluster-metadata-decoder', '--files', os.path.join(
        servers.brokers[0].data, '__cluster_metadata-0', checkpoints(servers.brokers[0].data)[-1])], capture_output=True, text=True)
    for word in ('SnapshotHeader', 'FEATURE_LEVEL_RECORD', 'REGISTER_BROKER_RECORD', 'REGISTER_CONTROLLER_RECORD', 'TOPIC_RECORD',
                 'PARTITION_RECORD', 'SnapshotFooter'):
        assert word in read.stdout, read.stdout[-2000:] + read.stderr[-2000:]
    # It follows in one partition and leads another; what it cannot do itself it hands on in Envelope.
    tools('Created topic', 'TopicCommand', '--bootstrap-server', apache.address, '--create', '--topic', 'mixed', '--replica-assignment',
          '1:4:2,4:2:3')
    isr = r'(?s)Partition: 0\s+Leader: %s\s.*Isr: (1,4,2|1,2,4|2,1,4|2,4,1|4,1,2|4,2,1)\s.*Partition: 1\s+Leader: %s\s.*Isr: (4,2,3|4,3,2|2,3,4|2,4,3|3,2,4|3,4,2)\s'
    describe = ['TopicCommand', *at, '--describe', '--topic', 'mixed']
    tools.until(isr % (1, 4), *describe)
    load = Load(servers.bootstrap, 'mixed')
    time.sleep(1)
    apache.kill9()
    tools.until(r'(?s)Partition: 1\s+Leader: [23]\s.*Isr: (2,3|3,2)\s', *describe)
    apache.start()
    tools.until(isr % (1, '[23]'), *describe)
    tools('mixed-1', 'LeaderElectionCommand', *at, '--election-type', 'preferred', '--topic', 'mixed', '--partition', '1')
    tools.until(isr % (1, 4), *describe)
    servers.broker(1).kill9()
    tools.until(r'Partition: 0\s+Leader: [24]\s', *describe)
    servers.broker(1).start()
    tools.until(isr % ('[24]', '[234]'), *describe)
    count = load.end()
    for partition, replicas in enumerate(([1, 4, 2], [4, 2, 3])):
        check_same([apache.segment('mixed', partition) if n == 4 else first_segment(servers.broker(n).data, 'mixed', partition)
                    for n in replicas])
    groups_round(tools, servers.bootstrap, 'mixed', count, '4')
    assert not apache.wrong(), apache.wrong()[:10]
    assert any('broker 4 tells the log directories of' in said for broker in servers.brokers for said in logs_of(broker))
    assert apache.stop() in (0, 143), apache.log()[-3000:]
    opens_here(apache, 'mixed', (0, 1), count)
    tools.close()
    stop_all(servers)


def opens_here(apache, topic, partitions, count):
    """What Apache Kafka left after a clean stop opens with our code, unscanned, and holds every record."""
    found = 0
    for partition in partitions:
        data = os.path.dirname(os.path.dirname(apache.segment(topic, partition)))
        said = subprocess.run([LOG_IMPORT, data, topic, str(partition)], capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        start, end, records, recovered, cut = [int(word) for word in said.stdout.split()]
        assert (start, end, recovered, cut) == (0, records, 0, 0), said.stdout
        found += records
    assert found == count, '%d records of %d' % (found, count)


def joins_round():
    """The reverse: one of ours joins a cluster that Apache Kafka controls."""
    tools = Tools()
    controller = '127.0.0.1:%d' % cluster.free_ports(1)[0]
    cluster_id = 'MkU3OEVBNTcwNTJENDM2Qg'
    lowered = ['group.version', 'transaction.version', 'eligible.leader.replicas.version', 'share.version', 'streams.version']
    apache = Apache(1, cluster_id, tools, 'process.roles=broker,controller', 'listeners=LISTENER,CONTROLLER://' + controller,
                    'controller.quorum.voters=1@' + controller, 'offsets.topic.replication.factor=2', 'broker.session.timeout.ms=4000',
                    features=['metadata.version=30'] + [name + '=0' for name in lowered])
    apache.start()
    ours = Broker('node.id=2', 'process.roles=broker', 'controller.listener.names=CONTROLLER', 'cluster.id=' + cluster_id,
                  'controller.quorum.voters=1@' + controller, 'group.initial.rebalance.delay.ms=200', 'offsets.topic.num.partitions=4').start()
    at = ['--bootstrap-server', ours.address]
    tools('Created topic', 'TopicCommand', *at, '--create', '--topic', 'mixed', '--replica-assignment', '1:2,2:1')
    isr = r'(?s)Partition: 0\s+Leader: %s\s.*Isr: (1,2|2,1)\s.*Partition: 1\s+Leader: %s\s.*Isr: (1,2|2,1)\s'
    describe = ['TopicCommand', '--bootstrap-server', apache.address, '--describe', '--topic', 'mixed']
    tools.until(isr % (1, 2), *describe)
    rows = replicas_of_quorum(tools('Leader', 'MetadataQuorumCommand', *at, 'describe', '--replication'))
    assert rows[2]['status'] == 'Observer' and int(rows[2]['lag']) in range(50), rows
    load = Load(apache.address + ',' + ours.address, 'mixed')
    time.sleep(2)
    assert ours.stop() == 0
    tools.until(r'(?s)Partition: 0\s+Leader: 1\s.*Isr: 1\s.*Partition: 1\s+Leader: 1\s.*Isr: 1\s', *describe)
    ours.start()
    tools.until(isr % (1, 1), *describe)
    tools('mixed-1', 'LeaderElectionCommand', *at, '--election-type', 'preferred', '--all-topic-partitions')
    tools.until(isr % (1, 2), *describe)
    ours.kill9()
    ours.start()
    tools.until(isr % (1, '[12]'), *describe)
    count = load.end()
    for partition in range(2):
        check_same([apache.segment('mixed', partition), first_segment(ours.data, 'mixed', partition)])
    groups_round(tools, ours.address, 'mixed', count, '2')
    assert not apache.wrong(), apache.wrong()[:10]
    # Its former life counted as alive until its session was over; it did not ask without a pause meanwhile.
    assert 0 < ours.log().count('DUPLICATE_BROKER_REGISTRATION') < 30, ours.log()
    tools.close()
    check_well(ours)
    assert apache.stop() in (0, 143), apache.log()[-3000:]


def logs_of(broker):
    """What it said in each of its lives."""
    return [cluster.read(os.path.join(broker.root, 'log.%d' % start)) for start in range(1, broker.starts + 1)]


def check_well(broker):
    """It ends well, and nothing was wrong meanwhile: no ERROR, nothing a sanitizer says."""
    assert broker.stop() == 0, broker.log()[-5000:]
    for said in logs_of(broker):
        wrong = [line for line in said.splitlines() if re.search(r'\bERROR\b|runtime error', line)]
        assert not wrong, wrong[:20]


def stop_all(servers):
    for broker in servers.brokers:
        check_well(broker)
    servers.close()


ROUNDS = {'tools': tools_round, 'failover': failover_round, 'apache': apache_round, 'joins': joins_round}

if __name__ == '__main__':
    if len(sys.argv) < 2 or sys.argv[1] not in ROUNDS:
        sys.exit(__doc__)
    ROUNDS[sys.argv[1]](*sys.argv[2:])
    print('OK')
