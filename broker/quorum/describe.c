/* DescribeQuorum (KIP-595, KIP-836, KIP-853), as the leader sees those who fetch from it. */
#include "broker/quorum/quorum_internal.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"

typedef __typeof__(((struct describe_quorum_response *)0)->topics.items[0]) described_topic;
typedef __typeof__(((described_topic *)0)->partitions.items[0]) described_partition;

typedef __typeof__(((described_partition *)0)->current_voters.items[0]) described_replica;

static void fill_replica(described_replica *replica, int16_t version, int32_t id,
                         const struct quorum_seen *seen)
{
    replica->replica_id = id;
    if (version >= 2) { /* older ones cannot carry it */
        replica->replica_directory_id = seen->directory_id;
    }
    replica->log_end_offset = seen->end_offset;
    replica->last_fetch_timestamp = seen->last_fetch_ms;
    replica->last_caught_up_timestamp = seen->last_caught_up_ms;
}

static void fill_voters(const struct quorum *quorum, int16_t version,
                        described_partition *partition, struct arena *arena)
{
    int32_t count = quorum->config.voter_count;
    partition->current_voters.items =
        arena_array(arena, (size_t)count, sizeof *partition->current_voters.items);
    partition->current_voters.count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct quorum_peer *peer = &quorum->peers[i];
        struct quorum_seen seen = peer->seen;
        if (peer->voter.id == quorum->config.node_id) {
            seen = (struct quorum_seen){.end_offset = log_end(quorum->log),
                                        .last_fetch_ms = -1,
                                        .last_caught_up_ms = env_wall_ms(quorum->env),
                                        .directory_id = quorum->config.directory_id};
        } else if (!uuid_is_zero(&peer->voter.directory_id)) {
            seen.directory_id = peer->voter.directory_id;
        }
        fill_replica(&partition->current_voters.items[i], version, peer->voter.id, &seen);
    }
}

static void fill_observers(const struct quorum *quorum, int16_t version,
                           described_partition *partition, struct arena *arena)
{
    int32_t count = quorum->observer_count;
    partition->observers.items =
        arena_array(arena, (size_t)count, sizeof *partition->observers.items);
    partition->observers.count = count;
    for (int32_t i = 0; i < count; i++) {
        fill_replica(&partition->observers.items[i], version, quorum->observers[i].id,
                     &quorum->observers[i].seen);
    }
}

static void fill_nodes(const struct quorum *quorum, struct describe_quorum_response *response,
                       struct arena *arena)
{
    int32_t count = quorum->config.voter_count;
    response->nodes.items = arena_array(arena, (size_t)count, sizeof *response->nodes.items);
    response->nodes.count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct quorum_voter *voter = &quorum->config.voters[i];
        __typeof__(response->nodes.items) node = &response->nodes.items[i];
        node->node_id = voter->id;
        node->listeners.items = arena_array(arena, 1, sizeof *node->listeners.items);
        /* A lone node may have no controller listener: then none is named. */
        node->listeners.count = quorum->config.listener[0] != '\0' ? 1 : 0;
        node->listeners.items[0].name = wire_str(arena_strdup(arena, quorum->config.listener));
        node->listeners.items[0].host = wire_str(arena_strdup(arena, voter->host));
        node->listeners.items[0].port = voter->port;
    }
}

void quorum_describe(struct quorum *quorum, int16_t version,
                     struct describe_quorum_response *response, struct arena *arena)
{
    ASSERT(version >= 0 && version <= wire_message_max(&wire_describe_quorum_response));
    wire_defaults(&wire_describe_quorum_response, response);
    described_topic *topic = arena_alloc(arena, sizeof *topic);
    described_partition *partition = arena_alloc(arena, sizeof *partition);
    response->topics.items = topic;
    response->topics.count = 1;
    topic->topic_name = wire_str(QUORUM_TOPIC);
    topic->partitions.items = partition;
    topic->partitions.count = 1;
    partition->error_message = WIRE_STR_NULL;
    partition->leader_id = quorum->now.leader_id;
    partition->leader_epoch = quorum->now.epoch;
    partition->high_watermark = quorum->high_watermark;
    if (quorum->role != QUORUM_LEADER) {
        partition->error_code = KAFKA_NOT_LEADER_OR_FOLLOWER;
        partition->error_message = wire_str("this node does not lead the metadata quorum");
        return;
    }
    quorum_observers_tidy(quorum);
    fill_voters(quorum, version, partition, arena);
    fill_observers(quorum, version, partition, arena);
    if (version >= 2) {
        fill_nodes(quorum, response, arena);
    }
}
