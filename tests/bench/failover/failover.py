#!/usr/bin/env python3
"""How long clients wait when brokers die or leave: three nodes on loopback, each broker and controller in one.

    tests/bench/failover/failover.py BUILD_DIR [RUNS] [PART...]        default 20 runs of every part

leader      kill -9 of a leader on another node than the active controller, to the first acknowledgement of a record
            that was sent after it
controller  the same of a leader that is the active controller as well
topics      kill -9 of the active controller, to the answer to the next CreateTopics (sent at once to a broker that
            lives, again after 100 ms when it fails)
restart     SIGTERM to each broker in turn, started again when it has ended: errors a producer saw, and how much longer
            than in quiet times the slowest record took
elect       kill -9 of a broker that leads 1,000 partitions, to the first Metadata answer in which all have a leader
cost        CPU time of the three processes for one CreateTopics, with 100, 1,000 and 10,000 topics already there

Brokers have default settings but for min.insync.replicas=2; the topic three partitions, three replicas; a producer of
500 records a second with its defaults (which are acks=all and a linger of 5 ms): `ours` is producer.c on common/client
with KIP-951, `no-951` the same without, `librdkafka` tests/integration/writer.c, whose release 2.0 does not know KIP-951
and waits up to ten seconds before it dials a broker again. "elected" is when a Metadata answer of another broker has the
new leader. Between the runs the dead come back, preferred replicas lead and the producer is level.
"""
import os
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'integration'))
BUILD = sys.argv[1] if len(sys.argv) > 1 else 'build/release'
os.environ.setdefault('BARNABASD', os.path.join(BUILD, 'broker/barnabasd'))
os.environ.setdefault('BARNABAS', os.path.join(BUILD, 'console/barnabas'))

from admin import Conn  # noqa: E402
from cluster import Cluster, read  # noqa: E402

CLIENTS = {'ours': (os.path.join(BUILD, 'tests/bench/failover/bench_producer'), ()),
           'no-951': (os.path.join(BUILD, 'tests/bench/failover/bench_producer'), ('no-951',)),
           'librdkafka': (os.path.join(BUILD, 'tests/integration/writer'), ())}
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
PER_SECOND = 500
TOPIC = 'f'
PARTITIONS = 3
VERBOSE = 'VERBOSE' in os.environ


class Writer:
    """The producer, and what it has said so far."""

    def __init__(self, servers, client):
        program, settings = CLIENTS[client]
        self.path = os.path.join(servers.root, 'history')
        with open(self.path, 'w') as out, open(self.path + '.said', 'w') as said:
            self.process = subprocess.Popen([program, servers.bootstrap, TOPIC, str(PARTITIONS), str(PER_SECOND), 'w'] +
                                            list(settings), stdout=out, stderr=said)
        self.file = open(self.path)
        self.left = ''
        self.sent = {}    # number: seconds
        self.acked = []   # (partition, sent, acknowledged)
        self.errors = []

    def update(self):
        *lines, self.left = (self.left + self.file.read()).split('\n')
        for line in lines:
            kind, number, partition, rest = line.split(' ', 3)
            if kind == 'send':
                self.sent[number] = int(rest) / 1e6
            elif kind == 'ok':
                self.acked.append((int(partition), self.sent[number], int(rest.split()[1]) / 1e6))
            else:
                self.errors.append(line)

    def first_after(self, dead, partitions, seconds=60):
        """When the last of these partitions has acknowledged a record that was sent after `dead`."""
        end = time.monotonic() + seconds
        at = len(self.acked)
        missing = dict.fromkeys(partitions)
        while None in missing.values():
            assert time.monotonic() < end, 'no acknowledgement within %d s' % seconds
            assert self.process.poll() is None
            time.sleep(0.02)
            self.update()
            for partition, sent, acked in self.acked[at:]:
                if missing.get(partition, 0) is None and sent >= dead:
                    missing[partition] = acked
            at = len(self.acked)
        return max(missing.values())

    def level(self):
        self.update()
        return len(self.sent) - len(self.acked) < PER_SECOND // 5

    def slowest(self, start, end):
        return max(acked - sent for _, sent, acked in self.acked if start <= sent < end)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.update()


def say(name, values, unit='s', digits=2):
    print('%-22s %3d runs   median %.*f %s   maximum %.*f %s' %
          (name, len(values), digits, statistics.median(values), unit, digits, max(values), unit), flush=True)


def start(*settings):
    servers = Cluster(3, 'min.insync.replicas=2', *settings).start()
    return servers


def with_topic(servers, name=TOPIC, partitions=PARTITIONS):
    with Conn(servers.brokers[0].address) as conn:
        assert conn.create_topic(name, partitions, 3) == 0
    servers.wait_in_sync(name, partitions)


def settle(servers, writer=None):
    """All in sync, preferred replicas leading everywhere, and some quiet."""
    servers.wait_in_sync(TOPIC, PARTITIONS)
    with Conn(servers.active_controller().address) as conn:
        conn.elect_preferred()
    servers.until('each broker leads', lambda: len(set(leaders(servers).values())) == 3)
    servers.until('the producer is level', lambda: writer is None or writer.level())
    time.sleep(1)
    servers.until('the producer is level', lambda: writer is None or writer.level())


def leaders(servers, of=None):
    broker = of or next(b for b in servers.brokers if b.process.poll() is None)
    with Conn(broker.address) as conn:
        return conn.leaders(TOPIC)


def led_by(servers, broker):
    return [partition for (_, partition), leader in leaders(servers).items() if leader == broker.node_id]


def kill_leaders(name, client, choose):
    servers = start()
    with_topic(servers)
    writer = Writer(servers, client)
    waits, elected = [], []
    try:
        time.sleep(3)
        for run in range(RUNS):
            settle(servers, writer)
            victim = choose(servers, run)
            partitions = led_by(servers, victim)
            other = next(broker for broker in servers.brokers if broker is not victim)
            with Conn(other.address) as conn:
                moment = time.monotonic()
                victim.kill9()
                dead = time.monotonic()
                while victim.node_id in conn.leaders(TOPIC).values() or -1 in conn.leaders(TOPIC).values():
                    time.sleep(0.005)
            elected.append(time.monotonic() - moment)
            waits.append(writer.first_after(dead, partitions) - moment)
            if VERBOSE:
                print('  broker %d: elected %.3f s, acknowledged %.3f s' % (victim.node_id, elected[-1], waits[-1]), flush=True)
            victim.start()
    finally:
        writer.close()
        servers.close()
    assert not writer.errors, writer.errors[:5]
    say(name + ' ' + client, waits)
    say('  elected', elected)


def not_the_controller(servers, run):
    active = servers.active_controller()
    return [broker for broker in servers.brokers if broker is not active][run % 2]


def part_leader():
    for client in ('ours', 'librdkafka'):
        kill_leaders('leader', client, not_the_controller)


def part_controller():
    for client in ('ours', 'librdkafka'):
        kill_leaders('controller', client, lambda servers, _: servers.active_controller())


def create(address, name):
    """Until a broker has made it."""
    while True:
        try:
            with Conn(address) as conn:
                code = conn.create_topic(name, 1, 2)
        except OSError:
            code = -1
        if code == 0:
            return
        time.sleep(0.1)


def part_topics():
    servers = start()
    waits = []
    with_topic(servers)
    for run in range(RUNS):
        settle(servers)
        victim = servers.active_controller()
        other = next(broker for broker in servers.brokers if broker is not victim)
        moment = time.monotonic()
        victim.kill9()
        create(other.address, 'made-%d' % run)
        waits.append(time.monotonic() - moment)
        victim.start()
    servers.close()
    say('topics', waits)


def part_restart():
    for client in CLIENTS:
        restart(client)


def restart(client):
    servers = start()
    with_topic(servers)
    writer = Writer(servers, client)
    time.sleep(5)
    writer.update()
    began = time.monotonic()
    quiet = statistics.median(acked - sent for _, sent, acked in writer.acked if sent > began - 3)
    added, stops = [], []
    for run in range(RUNS):
        broker = servers.brokers[run % 3]
        settle(servers, writer)
        moment = time.monotonic()
        assert broker.stop() == 0
        stops.append(time.monotonic() - moment)
        broker.start()
        time.sleep(1)
        servers.until('the producer is level', writer.level)
        added.append((writer.slowest(moment, time.monotonic() - 0.5) - quiet) * 1000)
        if VERBOSE:
            print('  broker %d: stop %.2f s, slowest record %.0f ms more' % (broker.node_id, stops[-1], added[-1]), flush=True)
    writer.close()
    servers.close()
    say('restart ' + client, added, 'ms', 0)
    say('  SIGTERM', stops)
    print('  %d records, %d errors at the producer, in quiet times %.1f ms a record' %
          (len(writer.acked), len(writer.errors), quiet * 1000), flush=True)


def part_elect():
    waits = []
    for _ in range(max(RUNS // 4, 1)):
        servers = start()
        for topic in range(10):
            with_topic(servers, 'many-%d' % topic, 300)
        names = ['many-%d' % topic for topic in range(10)]
        active = servers.active_controller()
        victim = next(broker for broker in servers.brokers if broker is not active)
        other = next(broker for broker in servers.brokers if broker not in (active, victim))
        with Conn(other.address) as conn:
            found = conn.leaders(*names)
            led = sum(leader == victim.node_id for leader in found.values())
            moment = time.monotonic()
            victim.process.kill()
            while any(leader in (victim.node_id, -1) for leader in conn.leaders(*names).values()):
                pass
            waits.append(time.monotonic() - moment)
        assert led == 1000, led
        victim.process.wait()
        servers.close()
    say('elect', waits)


def cpu_us(servers):
    total = 0
    for broker in servers.brokers:
        for task in os.listdir('/proc/%d/task' % broker.process.pid):
            total += int(read('/proc/%d/task/%s/schedstat' % (broker.process.pid, task)).split()[0])
    return total / 1000


def part_cost():
    servers = start()
    made = 0
    for goal in (100, 1000, 10000):
        with Conn(servers.active_controller().address) as conn:
            while made < goal:
                names = ['t-%d' % (made + i) for i in range(min(100, goal - made))]
                assert set(conn.create_topics(names, 1, 1).values()) == {0}
                made += len(names)
            time.sleep(3)
            idle_from, idle_at = cpu_us(servers), time.monotonic()
            time.sleep(3)
            idle = (cpu_us(servers) - idle_from) / (time.monotonic() - idle_at)
            changes = 200
            before, at = cpu_us(servers), time.monotonic()
            for _ in range(changes):
                assert conn.create_topic('t-%d' % made, 1, 1) == 0
                made += 1
            time.sleep(0.5)
            took = time.monotonic() - at
            spent = cpu_us(servers) - before - idle * took
        print('cost %5d topics   %.0f us of CPU and %.2f ms a change, idle %.2f%% of a CPU' %
              (goal, spent / changes, (took - 0.5) * 1000 / changes, idle / 1e4), flush=True)
    servers.close()


PARTS = {'leader': part_leader, 'controller': part_controller, 'topics': part_topics, 'restart': part_restart,
         'elect': part_elect, 'cost': part_cost}
if __name__ == '__main__':
    print('%s, load average %s' % (os.environ['BARNABASD'], ' '.join(read('/proc/loadavg').split()[:3])), flush=True)
    for part in sys.argv[3:] or PARTS:
        PARTS[part]()
