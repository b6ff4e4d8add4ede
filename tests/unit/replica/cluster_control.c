/* A controller by the rules that matter here: who is fenced, who leads, who is in sync. Its
 * decisions are Kafka's metadata records, which every broker applies when they reach it. */
#include "tests/unit/metadata/records.h"
#include "tests/unit/replica/cluster.h"

static void commit(struct cluster *c, struct record_list *list)
{
    if (list->count > 0) {
        *MEM_PUSH(c->batches, c->batch_count, c->batch_capacity) =
            batch_of(list, c->next_offset, 1, false);
        c->next_offset += (int64_t)list->count;
    }
    record_list_free(list);
}

static bool in_isr(const struct part *part, int32_t id)
{
    for (int32_t i = 0; i < part->isr_count; i++) {
        if (part->isr[i] == id) {
            return true;
        }
    }
    return false;
}

/* A leader of -2 stays; one that is named begins an epoch. */
static void change(struct cluster *c, struct part *part, struct record_list *list, int32_t leader,
                   const int32_t *isr, int32_t isr_count)
{
    struct partition_change_record record;
    int32_t copy[BROKERS];
    wire_defaults(&wire_partition_change_record, &record);
    record.topic_id = part->topic_id;
    record.partition_id = part->partition;
    record.leader = leader;
    if (isr != NULL) {
        memcpy(copy, isr, (size_t)isr_count * sizeof *isr);
        memcpy(part->isr, copy, sizeof copy);
        part->isr_count = isr_count;
        record.isr.items = copy;
        record.isr.count = isr_count;
    }
    record_list_add(list, RECORD_PARTITION_CHANGE, 2, &record);
    part->partition_epoch++;
    if (leader != -2) {
        part->leader = leader;
        part->leader_epoch++;
        c->counts.elections++;
    }
}

static int32_t choose(const struct cluster *c, const struct part *part, int32_t but)
{
    for (int32_t i = 0; i < part->isr_count; i++) {
        if (part->isr[i] != but && !c->fenced[part->isr[i]]) {
            return part->isr[i];
        }
    }
    return -1;
}

static void take_out(struct cluster *c, struct part *part, struct record_list *list, int32_t id)
{
    int32_t left[BROKERS];
    int32_t count = 0;
    for (int32_t i = 0; i < part->isr_count; i++) {
        if (part->isr[i] != id) {
            left[count++] = part->isr[i];
        }
    }
    bool shrinks = count > 0 && count < part->isr_count;
    if (part->leader == id) {
        change(c, part, list, choose(c, part, id), shrinks ? left : NULL, count);
    } else if (shrinks) {
        change(c, part, list, -2, left, count);
    }
}

static void fence_into(struct cluster *c, struct record_list *list, int32_t id)
{
    c->fenced[id] = true;
    put_fencing(list, id, c->broker_epochs[id], 1);
    for (int i = 0; i < c->part_count; i++) {
        take_out(c, &c->parts[i], list, id);
    }
}

void control_fence(struct cluster *c, int32_t id)
{
    struct record_list list = {0};
    if (!c->fenced[id]) {
        fence_into(c, &list, id);
    }
    commit(c, &list);
}

static void unfence(struct cluster *c, int32_t id)
{
    struct record_list list = {0};
    c->fenced[id] = false;
    put_fencing(&list, id, c->broker_epochs[id], -1);
    for (int i = 0; i < c->part_count; i++) {
        if (c->parts[i].leader < 0 && in_isr(&c->parts[i], id)) {
            change(c, &c->parts[i], &list, id, NULL, 0);
        }
    }
    commit(c, &list);
}

/* A new incarnation: the old one is fenced first, so that none keeps its leadership. */
static void enroll(struct node *node)
{
    struct cluster *c = node->cluster;
    struct record_list list = {0};
    if (c->broker_epochs[node->id] > 0 && !c->fenced[node->id]) {
        fence_into(c, &list, node->id);
    }
    c->fenced[node->id] = true;
    c->broker_epochs[node->id] = c->next_offset + (int64_t)list.count + 1;
    put_broker(&list, node->id, c->broker_epochs[node->id]);
    commit(c, &list);
    node->publish_at = c->batch_count;
    node->phase = NODE_REPLAYING;
}

void control_lead(struct cluster *c, int index, int32_t leader)
{
    struct part *part = &c->parts[index];
    struct record_list list = {0};
    if (in_isr(part, leader) && !c->fenced[leader]) {
        change(c, part, &list, leader, NULL, 0);
    }
    commit(c, &list);
}

/* ---- AlterPartition ---- */

static int16_t judge(struct cluster *c, int32_t sender, const struct part *part,
                     const struct alter_partition_request_partition *asked)
{
    bool leads = false;
    if (asked->leader_epoch != part->leader_epoch) {
        return asked->leader_epoch > part->leader_epoch ? KAFKA_NOT_CONTROLLER
                                                        : KAFKA_FENCED_LEADER_EPOCH;
    }
    if (asked->partition_epoch != part->partition_epoch) {
        return asked->partition_epoch > part->partition_epoch ? KAFKA_NOT_CONTROLLER
                                                              : KAFKA_INVALID_UPDATE_VERSION;
    }
    assert_int_equal(sender, part->leader);
    assert_in_range(asked->new_isr_with_epochs.count, 1, BROKERS);
    for (int32_t i = 0; i < asked->new_isr_with_epochs.count; i++) {
        int32_t id = asked->new_isr_with_epochs.items[i].broker_id;
        int64_t epoch = asked->new_isr_with_epochs.items[i].broker_epoch;
        assert_in_range(id, 1, BROKERS);
        leads = leads || id == sender;
        if (c->fenced[id] || (epoch >= 0 && epoch != c->broker_epochs[id])) {
            return KAFKA_INELIGIBLE_REPLICA;
        }
    }
    assert_true(leads);
    return KAFKA_NONE;
}

static void alter(struct cluster *c, int32_t sender, const struct uuid *topic_id,
                  const struct alter_partition_request_partition *asked,
                  struct alter_partition_response_partition *out, struct arena *arena)
{
    struct part *part = NULL;
    for (int i = 0; i < c->part_count; i++) {
        if (uuid_equal(&c->parts[i].topic_id, topic_id) &&
            c->parts[i].partition == asked->partition_index) {
            part = &c->parts[i];
        }
    }
    if (part == NULL) {
        fail_msg("AlterPartition of a partition that does not exist");
        return;
    }
    out->partition_index = asked->partition_index;
    out->error_code = judge(c, sender, part, asked);
    if (out->error_code != KAFKA_NONE) {
        c->counts.refusals++;
        return;
    }
    int32_t isr[BROKERS];
    for (int32_t i = 0; i < asked->new_isr_with_epochs.count; i++) {
        isr[i] = asked->new_isr_with_epochs.items[i].broker_id;
    }
    struct record_list list = {0};
    c->counts.expansions += asked->new_isr_with_epochs.count > part->isr_count;
    c->counts.shrinks += asked->new_isr_with_epochs.count < part->isr_count;
    change(c, part, &list, -2, isr, asked->new_isr_with_epochs.count);
    commit(c, &list);
    out->leader_id = part->leader;
    out->leader_epoch = part->leader_epoch;
    out->partition_epoch = part->partition_epoch;
    out->isr.count = part->isr_count;
    out->isr.items = arena_dup(arena, part->isr, sizeof part->isr);
}

void control_alter(struct cluster *c, const struct alter_partition_request *request,
                   struct alter_partition_response *response, struct arena *arena)
{
    if (c->refuse_alters || request->broker_epoch != c->broker_epochs[request->broker_id]) {
        response->error_code = c->refuse_alters ? KAFKA_NOT_CONTROLLER : KAFKA_STALE_BROKER_EPOCH;
        return;
    }
    response->topics.count = request->topics.count;
    response->topics.items =
        arena_array(arena, (size_t)request->topics.count, sizeof *response->topics.items);
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct alter_partition_request_topic *topic = &request->topics.items[i];
        struct alter_partition_response_topic *out = &response->topics.items[i];
        out->topic_id = topic->topic_id;
        out->partitions.count = topic->partitions.count;
        out->partitions.items =
            arena_array(arena, (size_t)topic->partitions.count, sizeof *out->partitions.items);
        for (int32_t k = 0; k < topic->partitions.count; k++) {
            wire_struct_defaults(&wire_struct_alter_partition_response_partition,
                                 &out->partitions.items[k]);
            alter(c, request->broker_id, &topic->topic_id, &topic->partitions.items[k],
                  &out->partitions.items[k], arena);
        }
    }
}

/* ---- metadata on its way ---- */

/* The next batch, or with a new incarnation all up to its registration, published at once. */
static void deliver(struct node *node)
{
    struct cluster *c = node->cluster;
    struct image_delta delta = {0};
    struct err_text text = {""};
    bool replaying = node->phase == NODE_REPLAYING;
    size_t until = replaying ? node->publish_at : node->image_at + 1;
    while (node->image_at < until) {
        const struct bytes *batch = &c->batches[node->image_at++];
        enum err error = image_apply_batches(node->image, &delta, batch->data, batch->size, &text);
        if (error != ERR_NONE) {
            print_message("metadata: %s\n", text.text);
        }
        assert_int_equal(error, ERR_NONE);
    }
    if (replaying) {
        node->phase = NODE_RUNNING;
        image_delta_clear(&delta);
        image_delta_all(&delta, node->image);
    }
    replicas_apply(node->replicas, node->image, &delta);
    image_delta_clear(&delta);
}

static void pump_node(struct cluster *c, struct node *node)
{
    int64_t now = sim_now_us(c->sim);
    bool heard = node->phase >= NODE_UNREGISTERED && now >= node->stalled_until_us &&
                 cluster_open(node, &c->nodes[0]);
    if (!heard) {
        if (node->unheard_since_us < 0) {
            node->unheard_since_us = now;
        } else if (now - node->unheard_since_us > SESSION_MS * 1000) {
            control_fence(c, node->id);
        }
        return;
    }
    node->unheard_since_us = -1;
    if (node->phase == NODE_UNREGISTERED) {
        enroll(node);
    }
    if (node->phase == NODE_REPLAYING ||
        (node->image_at < c->batch_count && rng_below(&c->rng, c->metadata_one_in) == 0)) {
        deliver(node);
    }
    if (c->fenced[node->id] && replicas_settled(node->replicas) &&
        node->image_at >= node->publish_at && now >= c->fenced_until_us[node->id]) {
        unfence(c, node->id);
    }
}

void control_pump(struct cluster *c)
{
    for (int32_t id = 1; id <= BROKERS; id++) {
        pump_node(c, &c->nodes[id]);
    }
}

void control_start(struct cluster *c, bool soft)
{
    static const char *const names[TOPICS_MAX] = {"hard", "soft"};
    struct record_list list = {0};
    for (int topic = 0; topic < (soft ? 2 : 1); topic++) {
        struct uuid id = uuid_from_number(100 + (uint64_t)topic);
        put_topic(&list, names[topic], id);
        for (int32_t p = 0; p < PARTITIONS; p++) {
            struct part *part = &c->parts[c->part_count];
            int32_t replicas[BROKERS];
            for (int32_t i = 0; i < BROKERS; i++) {
                replicas[i] = (c->part_count + i) % BROKERS + 1;
            }
            *part = (struct part){.topic_id = id,
                                  .topic = names[topic],
                                  .durable = topic == 0,
                                  .partition = p,
                                  .leader = replicas[0],
                                  .isr_count = BROKERS};
            memcpy(part->isr, replicas, sizeof replicas);
            put_partition(&list, id, p, replicas[0], replicas, BROKERS);
            c->part_count++;
        }
    }
    commit(c, &list);
}
