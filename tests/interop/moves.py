#!/usr/bin/env python3
"""Kafka's own tools move partitions of a cluster of four and change settings while it runs.

In the environment as for three.py.
"""
import json
import os
import re
import signal
import sys

sys.dont_write_bytecode = True
from three import Cluster, Load, Tools, stop_all  # noqa: E402
from test_reassign import reassign as ask  # noqa: E402  (three.py has said where it is)


def described(tools, at, topic):
    """The replicas of each partition, in their order."""
    said = tools('Topic: ' + topic, 'TopicCommand', *at, '--describe', '--topic', topic)
    return [[int(n) for n in replicas.split(',')] for replicas in re.findall(r'Partition: \d+\s+Leader: \d+\s+Replicas: (\S+)', said)]


def moves_round():
    servers = Cluster(4, 'default.replication.factor=3', 'min.insync.replicas=2').start()
    tools = Tools()
    at = ['--bootstrap-server', servers.bootstrap]
    tools('Created topic', 'TopicCommand', *at, '--create', '--topic', 'moved', '--replica-assignment', '1:2:3,2:3:4')
    reassign = ['reassign.ReassignPartitionsCommand', *at]
    load = Load(servers.bootstrap, 'moved')

    def plan(*targets):
        path = os.path.join(servers.root, 'plan.json')
        with open(path, 'w') as file:
            json.dump({'version': 1, 'partitions': [{'topic': 'moved', 'partition': i, 'replicas': replicas}
                                                    for i, replicas in enumerate(targets)]}, file)
        return ['--reassignment-json-file', path]

    # Proposed, carried out, seen through; then there is nothing under way.
    topics = os.path.join(servers.root, 'topics.json')
    with open(topics, 'w') as file:
        json.dump({'version': 1, 'topics': [{'topic': 'moved'}]}, file)
    tools('Proposed partition reassignment configuration', *reassign, '--generate', '--broker-list', '1,2,3,4', '--topics-to-move-json-file', topics)
    targets = [[4, 2, 3], [1, 3, 4]]
    tools('Successfully started partition reassignments for moved-0,moved-1', *reassign, '--execute', *plan(*targets))
    tools.until(r'(?s)moved-0 is completed.*moved-1 is completed', *reassign, '--verify', *plan(*targets))
    assert described(tools, at, 'moved') == targets
    tools('No partition reassignments found', *reassign, '--list')

    # Onto a broker that is away (the tool would not begin that): under way until it is back, or until it is taken back.
    servers.broker(1).kill9()
    targets = [[1, 2, 3], [2, 3, 4]]
    away = {0: [1, 2, 3], 1: [2, 3, 4]}
    servers.bootstrap = servers.broker(2).address
    assert ask(servers, 'moved', away) == (0, [0, 0])
    tools(r'moved-0: replicas: 1,2,3,4. adding: 1. removing: 4', *reassign, '--list')
    tools('Reassignment of partition moved-0 is still in progress', *reassign, '--verify', '--preserve-throttles', *plan(*targets))
    tools(r'Replicas: 1,2,3,4\s+Isr: \S+\s+Adding Replicas: 1\s+Removing Replicas: 4\s+Elr:', 'TopicCommand', *at, '--describe', '--topic', 'moved')
    tools('Successfully cancelled|cancelled for: moved-0', *reassign, '--cancel', '--preserve-throttles', *plan(*targets))
    assert sorted(described(tools, at, 'moved')[0]) == [2, 3, 4]
    assert ask(servers, 'moved', away) == (0, [0, 0])
    servers.broker(1).start()
    tools.until(r'moved-0 is completed', *reassign, '--verify', *plan(*targets))
    assert described(tools, at, 'moved') == targets

    # More replicas, and fewer (KIP-860).
    tools('The replication factor is changed|another replication factor', *reassign, '--execute', '--disallow-replication-factor-change',
          *plan([1, 2, 3, 4]), code=1)
    for targets in ([[1, 2, 3, 4], [2, 3, 4, 1]], [[1, 2], [2, 3]]):
        tools('Successfully started', *reassign, '--execute', *plan(*targets))
        tools.until(r'(?s)moved-0 is completed.*moved-1 is completed', *reassign, '--verify', *plan(*targets))
        assert described(tools, at, 'moved') == targets
    tools('Unknown broker id 9', *reassign, '--execute', *plan([1, 2, 9]), code=1)

    # Settings of one broker, of all, of a topic; where each comes from.
    configs = ['kafka.admin.ConfigCommand', *at]
    tools('Completed updating default config for brokers', *configs, '--alter', '--entity-type', 'brokers', '--entity-default', '--add-config',
          'log.retention.ms=70000000')
    tools('Completed updating config for broker 2', *configs, '--alter', '--entity-type', 'brokers', '--entity-name', '2', '--add-config',
          'log.retention.ms=80000000')
    tools.until('log.retention.ms=70000000', *configs, '--describe', '--entity-type', 'brokers', '--entity-default')
    tools.until(r'log.retention.ms=80000000 .*DYNAMIC_BROKER_CONFIG:log.retention.ms=80000000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=70000000',
                *configs, '--describe', '--entity-type', 'brokers', '--entity-name', '2')
    tools('', *configs, '--describe', '--entity-type', 'brokers', '--entity-name', '1')
    tools('is read when a broker starts', *configs, '--alter', '--entity-type', 'brokers', '--entity-default', '--add-config',
          'default.replication.factor=2', code=1)
    servers.broker(2).kill9()
    servers.broker(2).start()
    tools.until('log.retention.ms=80000000', *configs, '--describe', '--entity-type', 'brokers', '--entity-name', '2')
    tools('Completed updating', *configs, '--alter', '--entity-type', 'brokers', '--entity-name', '2', '--delete-config', 'log.retention.ms')
    said = tools.until('log.retention.ms=70000000', *configs, '--describe', '--all', '--entity-type', 'brokers', '--entity-name', '2')
    assert 'DYNAMIC_BROKER_CONFIG' not in said, said
    load.end()

    # Features, as far as they go here; a broker that is not coming back.
    features = ['FeatureCommand', *at]
    tools('(?i)upgraded|not changed|no updates|metadata.version was', *features, 'upgrade', '--metadata', '4.3-IV0')
    tools('might lose', *features, 'downgrade', '--metadata', '4.2', code=1)
    tools('does not have the feature', *features, 'upgrade', '--feature', 'group.version=1', code=1)
    tools('is not registered', 'ClusterTool', 'unregister', *at, '--id', '9', code=1)
    servers.broker(4).kill9()
    tools('Broker 4 is no longer registered', 'ClusterTool', 'unregister', *at, '--id', '4')
    servers.broker(4).start()
    tools.close()
    for broker in servers.brokers:  # together: one after the other they would miss their quorum
        broker.process.send_signal(signal.SIGTERM)
    for broker in servers.brokers:
        broker.process.wait(60)
    stop_all(servers)


if __name__ == '__main__':
    moves_round()
