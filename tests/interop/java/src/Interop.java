// The Java client: create, produce (idempotent by default), consume in a group, commit, look, delete.
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;

public class Interop {
    static final String TOPIC = "interop-java", GROUP = "group-java";
    static final int COUNT = 1000;

    static void check(boolean ok, Object what) {
        if (!ok) throw new AssertionError(what);
    }

    static List<ConsumerRecord<String, String>> consume(String address, int expected, long quietMs) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", address);
        config.put("group.id", GROUP);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(TOPIC));
            long end = System.nanoTime() + quietMs * 1_000_000;
            while (System.nanoTime() < end && (expected == 0 || got.size() < expected))
                consumer.poll(Duration.ofMillis(200)).forEach(got::add);
            check(!consumer.assignment().isEmpty(), "assignment");
            if (expected > 0) consumer.commitSync();
        }
        return got;
    }

    public static void main(String[] args) throws Exception {
        String address = args[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(TOPIC, 3, (short) 1))).all().get();
            Map<String, Object> config = Map.of("bootstrap.servers", address, "compression.type", "lz4");
            try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
                List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
                for (int i = 0; i < COUNT; i++) {
                    var record = new ProducerRecord<>(TOPIC, "k" + i % 7, "" + i);
                    record.headers().add("n", ("" + i).getBytes());
                    sent.add(producer.send(record));
                }
                for (var future : sent) check(future.get().hasOffset(), "offset");
            }
            var got = consume(address, COUNT, 60000);
            check(got.size() == COUNT, got.size());
            Map<String, Integer> order = new HashMap<>();
            for (var record : got) {
                int n = Integer.parseInt(record.value());
                check(order.getOrDefault(record.key(), -1) < n, "order");
                check(new String(record.headers().lastHeader("n").value()).equals("" + n), "header");
                order.put(record.key(), n);
            }
            var committed = admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get();
            check(committed.values().stream().mapToLong(OffsetAndMetadata::offset).sum() == COUNT, committed);
            check(consume(address, 0, 6000).isEmpty(), "delivered twice");
            check(admin.describeConsumerGroups(List.of(GROUP)).all().get().get(GROUP).groupState() == GroupState.EMPTY, "state");
            check(admin.describeCluster().nodes().get().size() == 1, "nodes");
            var spec = Map.of(new TopicPartition(TOPIC, 0), OffsetSpec.maxTimestamp());
            check(admin.listOffsets(spec).all().get().get(new TopicPartition(TOPIC, 0)).offset() >= 0, "max timestamp");
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
            check(admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value().equals("604800000"), "retention.ms");
            check(!admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).isEmpty(), "log dirs");
            check(admin.describeMetadataQuorum().quorumInfo().get().leaderId() == 1, "quorum leader");
            admin.deleteConsumerGroups(List.of(GROUP)).all().get();
            admin.deleteTopics(List.of(TOPIC)).all().get();
        }
        System.out.println("OK");
    }
}
