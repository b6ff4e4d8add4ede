"""librdkafka, by confluent-kafka-python, going on while brokers die: an idempotent acks=all producer of the numbers
0..COUNT-1, number N to partition N modulo 3, and a member of a group that commits what it got, until it got all.

    going.py BROKERS TOPIC GROUP COUNT PER_SECOND
"""
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

BROKERS, TOPIC, GROUP, COUNT, PER_SECOND = sys.argv[1:4] + [int(word) for word in sys.argv[4:]]

failed, seen = [], set()
producer = Producer({'bootstrap.servers': BROKERS, 'enable.idempotence': True})
consumer = Consumer({'bootstrap.servers': BROKERS, 'group.id': GROUP, 'auto.offset.reset': 'earliest', 'enable.auto.commit': False})
consumer.subscribe([TOPIC])
sent, got, began = 0, 0, time.monotonic()
while len(seen) < COUNT and not failed:
    while sent < min(COUNT, (time.monotonic() - began) * PER_SECOND):
        producer.produce(TOPIC, str(sent), partition=sent % 3,
                         on_delivery=lambda error, message: error and failed.append(error))
        sent += 1
    producer.poll(0)
    messages = [m for m in consumer.consume(500, 0.1) if m.error() is None or print(m.error(), file=sys.stderr)]
    seen.update(int(m.value()) for m in messages)
    got += len(messages)
    if messages:
        consumer.commit(asynchronous=True)
    assert time.monotonic() - began < 90, '%d after 90 s' % len(seen)
try:
    consumer.commit(asynchronous=False)
except KafkaException as e:
    if e.args[0].code() != KafkaError._NO_OFFSET:  # all is committed
        raise
consumer.close()
assert not failed, failed[:3]
print('%d numbers, %d read by the group' % (COUNT, got))
