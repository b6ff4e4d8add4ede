/* One partition's change: who leads it, who is in its ISR and who holds it, as one record (without
 * ELR: the last member of an ISR stays in it).
 *
 * Happy path: somebody wants another ISR or other replicas, or a broker comes or goes -> a
 * reassignment that this completes is completed -> the leader is elected from the ISR that is
 * wanted -> one PartitionChangeRecord says what differs, and nothing is written when nothing does.
 *
 * The leader stays if it may (in a preferred election: unless the first replica may lead); else the
 * first replica, in the order of assignment, that is in the ISR and may lead; else, in an unclean
 * election, the first replica that is alive at all, alone in the ISR and recovering; else nobody.
 * Kafka's PartitionChangeBuilder has the same rules. When a replica leaves the assignment the
 * leader epoch rises even if the leader stays: whatever that replica still sends is of another
 * time.
 *
 * DIRECTORIES (KIP-858). A replica may lead while its broker has the directory that metadata says
 * holds it: a broker that comes back with an empty disk does not lead what it has lost, while
 * others may have more. A partition of one replica has no others. Who joins an ISR has what it
 * takes in whatever directory it is, and whoever is elected unclean or as the only replica begins
 * with what it has: metadata is then brought in line with the directories the broker has. */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

bool broker_active(const struct image *image, int32_t broker_id)
{
    const struct image_broker *broker = image_broker(image, broker_id);
    return broker != NULL && !broker->fenced && !broker->in_controlled_shutdown;
}

bool ids_hold(struct image_ids ids, int32_t id)
{
    for (int32_t i = 0; i < ids.count; i++) {
        if (ids.ids[i] == id) {
            return true;
        }
    }
    return false;
}

bool ids_equal(struct image_ids a, struct image_ids b)
{
    return a.count == b.count &&
           (a.count == 0 || memcmp(a.ids, b.ids, (size_t)a.count * sizeof *a.ids) == 0);
}

bool ids_hold_all(struct image_ids ids, struct image_ids of)
{
    for (int32_t i = 0; i < of.count; i++) {
        if (!ids_hold(ids, of.ids[i])) {
            return false;
        }
    }
    return true;
}

struct image_ids ids_without(struct arena *arena, struct image_ids ids, struct image_ids those)
{
    int32_t *left = arena_array(arena, (size_t)ids.count + 1, sizeof *left);
    int32_t count = 0;
    for (int32_t i = 0; i < ids.count; i++) {
        if (!ids_hold(those, ids.ids[i])) {
            left[count++] = ids.ids[i];
        }
    }
    ASSERT(count <= ids.count);
    return (struct image_ids){left, count};
}

bool unclean_allowed(const struct controller *controller, const struct image_topic *topic)
{
    static const char key[] = "unclean.leader.election.enable";
    const struct controller_settings_hooks *hooks = &controller->config.settings;
    const struct image *image = controller->image;
    ASSERT(image != NULL && topic != NULL);
    const char *value = image_config_value(image, IMAGE_RESOURCE_TOPIC, topic->name, key);
    if (value == NULL) {
        value = image_config_value(image, IMAGE_RESOURCE_BROKER, "", key);
    }
    if (value == NULL && hooks->default_value != NULL) {
        value = hooks->default_value(hooks->ctx, IMAGE_RESOURCE_TOPIC, key);
    }
    return value != NULL && strcasecmp(value, "true") == 0;
}

struct partition_change partition_change_of(struct controller *controller,
                                            const struct image_topic *topic,
                                            const struct image_partition *partition,
                                            struct arena *arena)
{
    ASSERT(topic != NULL && partition != NULL && arena != NULL);
    return (struct partition_change){
        .controller = controller,
        .topic = topic,
        .partition = partition,
        .election = ELECT_ONLINE,
        .leaving = NOBODY,
        .returning = NOBODY,
        .isr = partition->isr,
        .recovery = partition->recovery,
        .replicas = partition->replicas,
        .adding = partition->adding,
        .removing = partition->removing,
        .arena = arena,
    };
}

/* ---- directories ---- */

struct uuid directory_of(const struct image *image, int32_t broker_id)
{
    const struct image_broker *broker = image_broker(image, broker_id);
    ASSERT(broker != NULL);
    bool one = broker->log_dir_count == 1 && broker->cordoned_log_dir_count == 0;
    return one ? broker->log_dirs[0] : uuid_from_number(DIRECTORY_UNASSIGNED);
}

bool uuids_hold(const struct uuid *ids, int32_t count, const struct uuid *id)
{
    for (int32_t i = 0; i < count; i++) {
        if (uuid_equal(&ids[i], id)) {
            return true;
        }
    }
    return false;
}

static int32_t place_of(struct image_ids ids, int32_t id)
{
    for (int32_t i = 0; i < ids.count; i++) {
        if (ids.ids[i] == id) {
            return i;
        }
    }
    return -1;
}

/* Whether the broker has the directory that holds its replica, or nobody knows better. */
static bool has_directory(const struct partition_change *change, int32_t id)
{
    struct uuid unknown[] = {uuid_from_number(DIRECTORY_UNASSIGNED),
                             uuid_from_number(DIRECTORY_MIGRATING)};
    int32_t place = place_of(change->partition->replicas, id);
    const struct image_broker *broker = image_broker(change->controller->image, id);
    if (place < 0 || broker == NULL) {
        return false;
    }
    const struct uuid *directory = &change->partition->directories[place];
    return broker->log_dir_count == 0 || uuids_hold(unknown, 2, directory) ||
           uuids_hold(broker->log_dirs, broker->log_dir_count, directory);
}

/* ---- election ---- */

static bool may_lead(const struct partition_change *change, int32_t id)
{
    return id != NOBODY && id != change->leaving &&
           (id == change->returning || broker_active(change->controller->image, id));
}

static bool may_lead_clean(const struct partition_change *change, int32_t id)
{
    return may_lead(change, id) && ids_hold(change->isr, id) &&
           (has_directory(change, id) || change->replicas.count == 1);
}

static int32_t first_that(const struct partition_change *change,
                          bool (*may)(const struct partition_change *change, int32_t id))
{
    for (int32_t i = 0; i < change->replicas.count; i++) {
        if (may(change, change->replicas.ids[i])) {
            return change->replicas.ids[i];
        }
    }
    return NOBODY;
}

bool partition_change_begins_empty(const struct partition_change *change,
                                   const struct image_partition *after)
{
    return after->leader != NOBODY && !has_directory(change, after->leader);
}

bool partition_change_starved(const struct partition_change *change,
                              const struct image_partition *after)
{
    bool starved = false;
    for (int32_t i = 0; i < after->isr.count && after->leader == NOBODY; i++) {
        int32_t id = after->isr.ids[i];
        starved = starved || (may_lead(change, id) && !has_directory(change, id));
    }
    return starved;
}

/* Fills leader, ISR and recovery of `after`. */
static void elect(struct partition_change *change, struct image_partition *after)
{
    int32_t preferred = change->replicas.ids[0];
    if (change->election == ELECT_PREFERRED && may_lead_clean(change, preferred)) {
        after->leader = preferred;
    } else if (!may_lead_clean(change, after->leader)) {
        after->leader = first_that(change, may_lead_clean);
    }
    if (after->leader == NOBODY && change->election == ELECT_UNCLEAN) {
        after->leader = first_that(change, may_lead);
        if (after->leader != NOBODY) {
            after->isr.ids = arena_dup(change->arena, &after->leader, sizeof after->leader);
            after->isr.count = 1;
            after->recovery = IMAGE_RECOVERING;
        }
    }
    ASSERT(after->leader == NOBODY || may_lead(change, after->leader));
    ASSERT(after->leader == NOBODY || ids_hold(after->isr, after->leader));
}

/* ---- the record ---- */

/* True when metadata is to name other directories than it does, or those of other replicas: `to`
 * gets all of them as they are. */
static bool directories_differ(const struct partition_change *change,
                               const struct image_partition *after, struct uuid *to)
{
    const struct image_partition *before = change->partition;
    bool differ = !ids_equal(before->replicas, after->replicas);
    ASSERT(before->directories != NULL);
    for (int32_t i = 0; i < after->replicas.count; i++) {
        int32_t id = after->replicas.ids[i];
        int32_t place = place_of(before->replicas, id);
        bool begins = id == after->leader && id != before->leader;
        bool joins = ids_hold(after->isr, id) && !ids_hold(before->isr, id);
        if (place < 0 || ((begins || joins) && !has_directory(change, id))) {
            to[i] = directory_of(change->controller->image, id);
            differ = true;
        } else {
            to[i] = before->directories[place];
        }
    }
    return differ;
}

static int32_t *copy_of(struct arena *arena, struct image_ids ids)
{
    int32_t *copy = arena_array(arena, (size_t)ids.count + 1, sizeof *copy);
    for (int32_t i = 0; i < ids.count; i++) {
        copy[i] = ids.ids[i];
    }
    return copy;
}

/* An array field names these ids when they differ from those before. */
#define PUT_IDS(field, now, before)                                                                \
    if (!ids_equal(now, before)) {                                                                 \
        (field).items = copy_of(change->arena, now);                                               \
        (field).count = (now).count;                                                               \
    }

static void put_record(const struct partition_change *change, const struct image_partition *after,
                       struct record_list *records)
{
    const struct image_partition *before = change->partition;
    int16_t version = partition_version(change->controller->image);
    struct partition_change_record record;
    wire_defaults(&wire_partition_change_record, &record);
    record.partition_id = before->partition;
    record.topic_id = change->topic->id;
    if (after->leader_epoch != before->leader_epoch) {
        record.leader = after->leader;
    }
    PUT_IDS(record.isr, after->isr, before->isr)
    PUT_IDS(record.replicas, after->replicas, before->replicas)
    PUT_IDS(record.adding_replicas, after->adding, before->adding)
    PUT_IDS(record.removing_replicas, after->removing, before->removing)
    if (after->recovery != before->recovery) {
        record.leader_recovery_state = (int8_t)after->recovery;
    }
    struct uuid *directories =
        arena_array(change->arena, (size_t)after->replicas.count, sizeof *directories);
    if (version >= PARTITION_VERSION_DIRECTORIES &&
        directories_differ(change, after, directories)) {
        record.directories.items = directories;
        record.directories.count = after->replicas.count;
    }
    if (version >= PARTITION_VERSION_ELR && before->elr.count > 0) {
        record.eligible_leader_replicas.count = 0; /* ELR is not finalized: none are kept */
    }
    record_list_add(records, RECORD_PARTITION_CHANGE, version, &record);
}

static void note(const struct partition_change *change, const struct image_partition *after)
{
    const struct image_partition *before = change->partition;
    const struct trace *trace = controller_trace(change->controller);
    if (reassigning(before) && !reassigning(after)) {
        bool adds = ids_hold_all(after->replicas, before->adding);
        trace_info(trace,
                   "controller: %s-%" PRId32 ": its reassignment ends with %" PRId32
                   " replicas, %" PRId32 " are dropped: %s",
                   change->topic->name, before->partition, after->replicas.count,
                   before->replicas.count - after->replicas.count,
                   adds ? "all that were added are in the ISR" : "those that were added go again");
    }
    trace_debug(trace,
                "controller: %s-%" PRId32 ": leader %" PRId32 " -> %" PRId32 ", ISR of %" PRId32
                " -> %" PRId32 "%s",
                change->topic->name, before->partition, before->leader, after->leader,
                before->isr.count, after->isr.count,
                after->recovery == IMAGE_RECOVERING && before->recovery != IMAGE_RECOVERING
                    ? ", unclean"
                    : "");
}

static bool same(const struct image_partition *a, const struct image_partition *b)
{
    return a->leader == b->leader && a->recovery == b->recovery && ids_equal(a->isr, b->isr) &&
           ids_equal(a->replicas, b->replicas) && ids_equal(a->adding, b->adding) &&
           ids_equal(a->removing, b->removing);
}

bool partition_change_add(struct partition_change *change, struct record_list *records,
                          struct image_partition *after)
{
    const struct image_partition *before = change->partition;
    ASSERT(before->replicas.count > 0);
    ASSERT(change->leaving == NOBODY || change->leaving != change->returning);
    reassign_complete(change);
    *after = *before;
    after->directories = NULL;
    after->recovery = change->recovery;
    after->replicas = change->replicas;
    after->adding = change->adding;
    after->removing = change->removing;
    if (change->isr.count > 0) {
        after->isr = change->isr;
    }
    elect(change, after);
    if (same(before, after)) {
        return false;
    }
    bool dropped = !ids_hold_all(after->replicas, before->replicas);
    after->partition_epoch++;
    after->leader_epoch += dropped || after->leader != before->leader;
    put_record(change, after, records);
    ASSERT(after->isr.count > 0 || before->isr.count == 0);
    ASSERT(after->replicas.count > 0);
    note(change, after);
    return true;
}
