// franz-go: create, produce, consume in a group, commit, look, delete.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	topic = "interop-franz-go"
	group = "group-franz-go"
	count = 1000
)

func check(err error, what string) {
	if err != nil {
		log.Fatalf("%s: %v", what, err)
	}
}

func consume(ctx context.Context, address string, expected int, quiet time.Duration) []*kgo.Record {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	check(err, "client")
	defer client.Close()
	var got []*kgo.Record
	limit, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	for expected == 0 || len(got) < expected {
		fetches := client.PollFetches(limit)
		if limit.Err() != nil {
			break
		}
		for _, e := range fetches.Errors() {
			log.Fatalf("fetch %s-%d: %v", e.Topic, e.Partition, e.Err)
		}
		got = append(got, fetches.Records()...)
	}
	if expected > 0 {
		check(client.CommitUncommittedOffsets(ctx), "commit")
	}
	return got
}

func main() {
	address := os.Args[1]
	ctx := context.Background()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	check(err, "client")
	admin := kadm.NewClient(client)
	_, err = admin.CreateTopic(ctx, 3, 1, nil, topic)
	check(err, "create topic")
	for i := 0; i < count; i++ {
		n := strconv.Itoa(i)
		client.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte("k" + strconv.Itoa(i%7)), Value: []byte(n),
			Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(n)}}},
			func(_ *kgo.Record, err error) { check(err, "produce") })
	}
	check(client.Flush(ctx), "flush")
	got := consume(ctx, address, count, time.Minute)
	if len(got) != count {
		log.Fatalf("%d records", len(got))
	}
	order := map[string]int{}
	for _, record := range got {
		n, _ := strconv.Atoi(string(record.Value))
		if last, ok := order[string(record.Key)]; (ok && last >= n) || string(record.Headers[0].Value) != string(record.Value) {
			log.Fatalf("record %d out of order", n)
		}
		order[string(record.Key)] = n
	}
	offsets, err := admin.FetchOffsets(ctx, group)
	check(err, "fetch offsets")
	var sum int64
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != count {
		log.Fatalf("committed %d", sum)
	}
	if again := consume(ctx, address, 0, 6*time.Second); len(again) != 0 {
		log.Fatalf("%d records twice", len(again))
	}
	described, err := admin.DescribeGroups(ctx, group)
	check(err, "describe groups")
	if described[group].State != "Empty" {
		log.Fatalf("group state %s", described[group].State)
	}
	_, err = admin.DeleteGroups(ctx, group)
	check(err, "delete group")
	_, err = admin.DeleteTopics(ctx, topic)
	check(err, "delete topic")
	fmt.Println("OK")
}
