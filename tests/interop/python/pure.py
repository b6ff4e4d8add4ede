"""kafka-python: create, produce, consume in a group, commit, look, delete."""
import sys
import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

ADDRESS, TOPIC, GROUP, COUNT = sys.argv[1], 'interop-kafka-python', 'group-kafka-python', 600

admin = KafkaAdminClient(bootstrap_servers=ADDRESS)
admin.create_topics([NewTopic(TOPIC, num_partitions=3, replication_factor=1)])
producer = KafkaProducer(bootstrap_servers=ADDRESS, acks='all', compression_type='gzip')
sent = [producer.send(TOPIC, key=b'k%d' % (i % 7), value=b'%d' % i, headers=[('n', b'%d' % i)]) for i in range(COUNT)]
producer.flush(30)
assert sorted(f.get(10).offset for f in sent)[0] == 0
producer.close()


def consume(expected, seconds):
    consumer = KafkaConsumer(TOPIC, bootstrap_servers=ADDRESS, group_id=GROUP, auto_offset_reset='earliest',
                             enable_auto_commit=False)
    got, end = [], time.monotonic() + seconds
    while time.monotonic() < end and (len(got) < expected or not consumer.assignment()):
        for records in consumer.poll(timeout_ms=200).values():
            got += records
    if expected:
        consumer.commit()
    positions = sum(consumer.committed(TopicPartition(TOPIC, p)) or 0 for p in range(3))
    consumer.close()
    return got, positions


got, committed = consume(COUNT, 60)
assert sorted(int(r.value) for r in got) == list(range(COUNT)), len(got)
order = {}
for record in got:
    assert record.headers == [('n', record.value)]
    assert order.get(record.key, -1) < int(record.value)
    order[record.key] = int(record.value)
assert committed == COUNT, committed
again, committed = consume(0, 20)
assert again == [] and committed == COUNT
admin.delete_topics([TOPIC])
admin.close()
print('OK')
