// The Java client going on while brokers die: an idempotent acks=all producer of the numbers 0..COUNT-1, number N to
// partition N modulo 3, and a member of a group that commits what it got, until it got all.
//   Going BROKERS TOPIC GROUP COUNT PER_SECOND
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

public class Going {
    public static void main(String[] args) {
        int count = Integer.parseInt(args[3]), perSecond = Integer.parseInt(args[4]);
        var failed = new ConcurrentLinkedQueue<Exception>();
        var seen = new BitSet();
        long began = System.nanoTime(), got = 0, next = 0;
        Map<String, Object> produce = Map.of("bootstrap.servers", args[0], "linger.ms", 5);
        Map<String, Object> consume = Map.of("bootstrap.servers", args[0], "group.id", args[2], "auto.offset.reset", "earliest",
                "enable.auto.commit", "false");
        try (var producer = new KafkaProducer<>(produce, new StringSerializer(), new StringSerializer());
                var consumer = new KafkaConsumer<>(consume, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(args[1]));
            while (seen.cardinality() < count && failed.isEmpty()) {
                long due = Math.min(count, (System.nanoTime() - began) * perSecond / 1_000_000_000L);
                for (; next < due; next++)
                    producer.send(new ProducerRecord<>(args[1], (int) (next % 3), null, "" + next), (metadata, e) -> {
                        if (e != null) failed.add(e);
                    });
                var records = consumer.poll(Duration.ofMillis(100));
                records.forEach(record -> seen.set(Integer.parseInt(record.value())));
                got += records.count();
                if (!records.isEmpty()) consumer.commitAsync();
                if (System.nanoTime() - began > 90_000_000_000L) throw new AssertionError(seen.cardinality() + " after 90 s");
            }
            consumer.commitSync();
        }
        if (!failed.isEmpty()) throw new AssertionError(failed.peek());
        System.out.printf("%d numbers, %d read by the group%n", count, got);
    }
}
