"""confluent-kafka-python (its own librdkafka): create, produce, consume in a group, commit, look, delete."""
import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ADDRESS, TOPIC, GROUP, COUNT = sys.argv[1], 'interop-confluent', 'group-confluent', 1000


def consume(expected, seconds):
    consumer = Consumer({'bootstrap.servers': ADDRESS, 'group.id': GROUP, 'auto.offset.reset': 'earliest',
                         'enable.auto.commit': False})
    consumer.subscribe([TOPIC])
    got, end = [], time.monotonic() + seconds
    while len(got) < expected and time.monotonic() < end:
        message = consumer.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            got.append((message.key(), message.value(), message.headers()))
    while consumer.assignment() == [] and time.monotonic() < end:
        consumer.poll(0.2)
    if expected:
        consumer.commit(asynchronous=False)
    consumer.close()
    return got


admin = AdminClient({'bootstrap.servers': ADDRESS})
admin.create_topics([NewTopic(TOPIC, num_partitions=3, replication_factor=1)])[TOPIC].result(30)
assert len(admin.list_topics(TOPIC, 10).topics[TOPIC].partitions) == 3
for codec in ('none', 'gzip', 'snappy', 'lz4', 'zstd'):
    producer = Producer({'bootstrap.servers': ADDRESS, 'enable.idempotence': True, 'compression.type': codec})
    for i in range(COUNT // 5):
        producer.produce(TOPIC, key='%s-%d' % (codec, i % 7), value='%s %d' % (codec, i), headers={'n': str(i)})
        producer.poll(0)
    assert producer.flush(30) == 0
got = consume(COUNT, 60)
assert len(got) == COUNT, len(got)
order = {}
for key, value, headers in got:
    n = int(value.split()[1])
    assert headers == [('n', str(n).encode())]
    assert order.get(key, -1) < n, 'order within a key'
    order[key] = n
committed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)])[GROUP].result(30)
assert sum(p.offset for p in committed.topic_partitions) == COUNT
assert GROUP in [g.group_id for g in admin.list_consumer_groups().result(30).valid]
assert admin.describe_consumer_groups([GROUP])[GROUP].result(30).state.name == 'EMPTY'
assert consume(0, 20) == [], 'nothing is delivered twice after the commit'
ends = Consumer({'bootstrap.servers': ADDRESS, 'group.id': 'other'})
assert sum(ends.get_watermark_offsets(TopicPartition(TOPIC, p), 10)[1] for p in range(3)) == COUNT
ends.close()
admin.delete_consumer_groups([GROUP])[GROUP].result(30)
admin.delete_topics([TOPIC])[TOPIC].result(30)
print('OK')
