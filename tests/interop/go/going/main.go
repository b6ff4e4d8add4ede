// franz-go going on while brokers die: an idempotent acks=all producer of the numbers 0..COUNT-1, number N to partition
// N modulo 3, and a member of a group that commits what it got, until it got all.
//
//	going BROKERS TOPIC GROUP COUNT PER_SECOND
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	brokers, topic, group := strings.Split(os.Args[1], ","), os.Args[2], os.Args[3]
	count, _ := strconv.Atoi(os.Args[4])
	perSecond, _ := strconv.Atoi(os.Args[5])
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	began := time.Now()
	go func() {
		for next := 0; next < count; time.Sleep(20 * time.Millisecond) {
			for due := int(time.Since(began).Seconds() * float64(perSecond)); next < count && next < due; next++ {
				record := &kgo.Record{Topic: topic, Partition: int32(next % 3), Value: []byte(strconv.Itoa(next))}
				client.Produce(ctx, record, func(r *kgo.Record, err error) {
					if err != nil {
						log.Fatalf("produce %s: %v", r.Value, err)
					}
				})
			}
		}
	}()
	seen, got := map[string]bool{}, 0
	for len(seen) < count {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			log.Fatalf("%d after 90 s", len(seen))
		}
		fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)] = true; got++ })
		for _, e := range fetches.Errors() {
			log.Printf("fetch %s-%d: %v", e.Topic, e.Partition, e.Err)
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			log.Printf("commit: %v", err)
		}
	}
	if err := client.CommitUncommittedOffsets(ctx); err != nil {
		log.Fatalf("commit: %v", err)
	}
	fmt.Printf("%d numbers, %d read by the group\n", count, got)
}
