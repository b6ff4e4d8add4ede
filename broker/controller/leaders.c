/* Leaders and ISRs when a broker goes or comes back (without ELR: the last member of an ISR stays
 * in it).
 *
 * The leader stays if it may; else the first replica, in the order of assignment, that is in the
 * ISR and active; else, where unclean.leader.election.enable says so, the first active replica,
 * alone in the ISR and recovering; else nobody. */
#include <inttypes.h>
#include <string.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

enum { NOBODY = -1 };

struct election {
    struct controller *controller;
    int32_t leaving;   /* never a leader, out of ISRs where another is left; NOBODY for none */
    int32_t returning; /* counts as active already; NOBODY for none */
    struct record_list *records;
    size_t changed;
    const struct image_topic *topic;
};

bool broker_active(const struct image *image, int32_t broker_id)
{
    const struct image_broker *broker = image_broker(image, broker_id);
    return broker != NULL && !broker->fenced && !broker->in_controlled_shutdown;
}

static bool holds(const int32_t *ids, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

static bool acceptable(const struct election *election, int32_t id)
{
    return id != election->leaving &&
           (id == election->returning || broker_active(election->controller->image, id));
}

/* The first of `replicas` that is acceptable and in `among` (NULL: any). */
static int32_t first_acceptable(const struct election *election, struct image_ids replicas,
                                const struct image_ids *among)
{
    for (int32_t i = 0; i < replicas.count; i++) {
        int32_t id = replicas.ids[i];
        if (acceptable(election, id) && (among == NULL || holds(among->ids, among->count, id))) {
            return id;
        }
    }
    return NOBODY;
}

static bool unclean_allowed(const struct election *election)
{
    const struct image *image = election->controller->image;
    static const char key[] = "unclean.leader.election.enable";
    const char *value = image_config_value(image, IMAGE_RESOURCE_TOPIC, election->topic->name, key);
    if (value == NULL) {
        value = image_config_value(image, IMAGE_RESOURCE_BROKER, "", key);
    }
    return value != NULL && strcmp(value, "true") == 0;
}

/* Puts a change record when this partition's leader or ISR has to change. */
static void elect(struct election *election, const struct image_partition *partition)
{
    ASSERT(election->topic != NULL && election->leaving != election->returning);
    struct arena arena = {0};
    int32_t *isr = arena_array(&arena, (size_t)partition->isr.count + 1, sizeof *isr);
    int32_t isr_count = 0;
    for (int32_t i = 0; i < partition->isr.count; i++) {
        if (partition->isr.ids[i] != election->leaving) {
            isr[isr_count++] = partition->isr.ids[i];
        }
    }
    struct image_ids target = {isr, isr_count};
    if (isr_count == 0) {
        target = partition->isr;
    }
    bool stays = acceptable(election, partition->leader) &&
                 holds(target.ids, target.count, partition->leader);
    int32_t leader =
        stays ? partition->leader : first_acceptable(election, partition->replicas, &target);
    bool unclean = false;
    if (leader == NOBODY && unclean_allowed(election)) {
        leader = first_acceptable(election, partition->replicas, NULL);
        unclean = leader != NOBODY;
        if (unclean) {
            isr[0] = leader;
            target = (struct image_ids){isr, 1};
        }
    }
    ASSERT(leader == NOBODY || holds(target.ids, target.count, leader));
    ASSERT(leader == NOBODY || acceptable(election, leader));
    bool same_isr = target.count == partition->isr.count &&
                    (target.count == 0 || memcmp(target.ids, partition->isr.ids,
                                                 (size_t)target.count * sizeof *isr) == 0);
    if (leader != partition->leader || !same_isr) {
        struct partition_change_record record;
        wire_defaults(&wire_partition_change_record, &record);
        record.partition_id = partition->partition;
        record.topic_id = election->topic->id;
        if (leader != partition->leader) {
            record.leader = leader;
        }
        if (!same_isr) {
            record.isr.items = arena_dup(&arena, target.ids, (size_t)target.count * sizeof *isr);
            record.isr.count = target.count;
        }
        if (unclean && partition->recovery != IMAGE_RECOVERING) {
            record.leader_recovery_state = IMAGE_RECOVERING;
        }
        record_list_add(election->records, RECORD_PARTITION_CHANGE,
                        partition_version(election->controller->image), &record);
        election->changed++;
        trace_debug(controller_trace(election->controller),
                    "controller: %s-%" PRId32 ": leader %" PRId32 " -> %" PRId32 ", ISR of %" PRId32
                    " -> %" PRId32 "%s",
                    election->topic->name, partition->partition, partition->leader, leader,
                    partition->isr.count, target.count, unclean ? ", unclean" : "");
    }
    arena_free(&arena);
}

static bool leave_topic(void *ctx, const struct image_topic *topic)
{
    struct election *election = ctx;
    election->topic = topic;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *partition = topic->partitions[i];
        if (partition != NULL &&
            holds(partition->isr.ids, partition->isr.count, election->leaving)) {
            elect(election, partition);
        }
    }
    return true;
}

size_t leaders_leave(struct controller *controller, int32_t broker_id, struct record_list *records)
{
    ASSERT(broker_id >= 0);
    struct election election = {controller, broker_id, NOBODY, records, 0, NULL};
    image_each_topic(controller->image, leave_topic, &election);
    return election.changed;
}

static bool return_topic(void *ctx, const struct image_topic *topic)
{
    struct election *election = ctx;
    election->topic = topic;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *partition = topic->partitions[i];
        if (partition != NULL && partition->leader == NOBODY) {
            elect(election, partition);
        }
    }
    return true;
}

size_t leaders_return(struct controller *controller, int32_t broker_id, struct record_list *records)
{
    ASSERT(broker_id >= 0);
    struct election election = {controller, NOBODY, broker_id, records, 0, NULL};
    image_each_topic(controller->image, return_topic, &election);
    return election.changed;
}

struct lead_search {
    int32_t broker_id;
    bool found;
};

static bool search_topic(void *ctx, const struct image_topic *topic)
{
    struct lead_search *search = ctx;
    for (int32_t i = 0; i < topic->partition_count && !search->found; i++) {
        const struct image_partition *partition = topic->partitions[i];
        search->found = partition != NULL && partition->leader == search->broker_id;
    }
    return !search->found;
}

bool leads_any(const struct image *image, int32_t broker_id)
{
    struct lead_search search = {broker_id, false};
    image_each_topic(image, search_topic, &search);
    return search.found;
}
