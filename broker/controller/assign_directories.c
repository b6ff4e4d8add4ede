/* AssignReplicasToDirs (KIP-858): a broker of several log directories tells which holds what.
 *
 * Happy path: the sender is registered with the epoch it says, the partition has a replica there,
 * and metadata names another directory for it -> one record. A directory that its registration does
 * not have is lost, or offline: the broker leaves the ISR as well, and another leads.
 *
 * Failure modes: a former life asks (STALE_BROKER_EPOCH, for all of it); each on its own: no such
 * topic or partition; no replica of the sender (NOT_LEADER_OR_FOLLOWER); it was the last in the ISR
 * and has lost the directory that held the partition (KAFKA_STORAGE_ERROR): that another directory
 * has taken its place must not let it lead with nothing. Kafka's controller takes that. */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

typedef __typeof__(((struct assign_replicas_to_dirs_request *)0)
                       ->directories.items[0]) asked_directory;
typedef __typeof__(((asked_directory *)0)->topics.items[0]) asked_topic;
typedef __typeof__(((struct assign_replicas_to_dirs_response *)0)
                       ->directories.items[0]) told_directory;
typedef __typeof__(((told_directory *)0)->topics.items[0]) told_topic;

struct assignment {
    struct controller *controller;
    struct controller_call *call;
    struct record_list *records;
    const struct image_broker *broker;
    const struct uuid *directory;
    bool online;
    int32_t assigned;
    int32_t refused;
};

void assign_replicas_to_dirs_refuse(struct controller_call *call, int16_t error,
                                    const char *message)
{
    struct assign_replicas_to_dirs_response *response = call->response;
    ASSERT(message != NULL && error != 0);
    response->error_code = error;
}

static void put_directory(struct assignment *assignment, const struct image_topic *topic,
                          const struct image_partition *partition, int32_t place)
{
    ASSERT(place >= 0 && place < partition->replicas.count);
    struct partition_change_record record;
    wire_defaults(&wire_partition_change_record, &record);
    record.partition_id = partition->partition;
    record.topic_id = topic->id;
    size_t count = (size_t)partition->replicas.count;
    struct arena arena = {0};
    struct uuid *directories =
        arena_dup(&arena, partition->directories, count * sizeof *directories);
    directories[place] = *assignment->directory;
    record.directories.items = directories;
    record.directories.count = partition->replicas.count;
    record_list_add(assignment->records, RECORD_PARTITION_CHANGE,
                    partition_version(assignment->controller->image), &record);
    arena_free(&arena);
}

static bool has(const struct image_broker *broker, const struct uuid *directory)
{
    struct uuid unresolved[] = {uuid_from_number(DIRECTORY_UNASSIGNED),
                                uuid_from_number(DIRECTORY_MIGRATING)};
    return broker->log_dir_count == 0 || uuids_hold(unresolved, 2, directory) ||
           uuids_hold(broker->log_dirs, broker->log_dir_count, directory);
}

/* Nobody else has what was in the directory, and it has not either: see change.c. */
static bool lost(const struct assignment *assignment, const struct image_partition *partition,
                 int32_t place)
{
    return partition->leader == NOBODY && partition->replicas.count > 1 &&
           ids_hold(partition->isr, assignment->broker->id) &&
           !has(assignment->broker, &partition->directories[place]);
}

/* It holds the partition where nothing can be read. */
static void leave(struct assignment *assignment, const struct image_topic *topic,
                  const struct image_partition *partition)
{
    struct controller *controller = assignment->controller;
    struct arena arena = {0};
    struct partition_change change = partition_change_of(controller, topic, partition, &arena);
    change.leaving = assignment->broker->id;
    if (unclean_allowed(controller, topic)) {
        change.election = ELECT_UNCLEAN;
    }
    int32_t *isr = arena_array(&arena, (size_t)partition->isr.count + 1, sizeof *isr);
    int32_t count = 0;
    for (int32_t i = 0; i < partition->isr.count; i++) {
        if (partition->isr.ids[i] != assignment->broker->id) {
            isr[count++] = partition->isr.ids[i];
        }
    }
    change.isr = (struct image_ids){isr, count};
    struct image_partition after;
    (void)partition_change_add(&change, assignment->records, &after);
    arena_free(&arena);
}

static int16_t assign(struct assignment *assignment, const struct image_topic *topic, int32_t id)
{
    if (topic == NULL) {
        return KAFKA_UNKNOWN_TOPIC_ID;
    }
    const struct image_partition *partition =
        id >= 0 && id < topic->partition_count ? topic->partitions[id] : NULL;
    if (partition == NULL) {
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    int32_t place = 0;
    while (place < partition->replicas.count &&
           partition->replicas.ids[place] != assignment->broker->id) {
        place++;
    }
    if (place == partition->replicas.count) {
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    if (assignment->online && lost(assignment, partition, place)) {
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    if (!uuid_equal(&partition->directories[place], assignment->directory)) {
        put_directory(assignment, topic, partition, place);
        assignment->assigned++;
    }
    if (!assignment->online && ids_hold(partition->isr, assignment->broker->id)) {
        leave(assignment, topic, partition);
    }
    return 0;
}

static void assign_topic(struct assignment *assignment, const asked_topic *asked, told_topic *told)
{
    const struct image_topic *topic =
        image_topic_by_id(assignment->controller->image, &asked->topic_id);
    int32_t count = asked->partitions.count;
    told->topic_id = asked->topic_id;
    told->partitions.items =
        arena_array(assignment->call->arena, (size_t)count + 1, sizeof *told->partitions.items);
    told->partitions.count = count;
    for (int32_t i = 0; i < count; i++) {
        int32_t id = asked->partitions.items[i].partition_index;
        int16_t error = assign(assignment, topic, id);
        told->partitions.items[i].partition_index = id;
        told->partitions.items[i].error_code = error;
        assignment->refused += error != 0;
    }
}

static void assign_directory(struct assignment *assignment, const asked_directory *asked,
                             told_directory *told)
{
    assignment->directory = &asked->id;
    assignment->online = has(assignment->broker, &asked->id);
    told->id = asked->id;
    told->topics.items = arena_array(assignment->call->arena, (size_t)asked->topics.count + 1,
                                     sizeof *told->topics.items);
    told->topics.count = asked->topics.count;
    for (int32_t i = 0; i < asked->topics.count; i++) {
        assign_topic(assignment, &asked->topics.items[i], &told->topics.items[i]);
    }
}

void assign_replicas_to_dirs_handle(struct controller *controller, struct controller_call *call,
                                    struct record_list *records)
{
    const struct assign_replicas_to_dirs_request *request = call->request;
    struct assign_replicas_to_dirs_response *response = call->response;
    const struct image_broker *broker = image_broker(controller->image, request->broker_id);
    if (broker == NULL || broker->epoch != request->broker_epoch) {
        response->error_code = KAFKA_STALE_BROKER_EPOCH;
        trace_info(controller_trace(controller),
                   "controller: broker %" PRId32 " may assign no directory: it is not registered "
                   "with epoch %" PRId64,
                   request->broker_id, request->broker_epoch);
        return;
    }
    if (partition_version(controller->image) < PARTITION_VERSION_DIRECTORIES) {
        response->error_code = KAFKA_UNSUPPORTED_VERSION;
        return;
    }
    struct assignment assignment = {
        .controller = controller, .call = call, .records = records, .broker = broker};
    response->directories.items = arena_array(call->arena, (size_t)request->directories.count + 1,
                                              sizeof *response->directories.items);
    response->directories.count = request->directories.count;
    for (int32_t i = 0; i < request->directories.count; i++) {
        assign_directory(&assignment, &request->directories.items[i],
                         &response->directories.items[i]);
    }
    trace_info(controller_trace(controller),
               "controller: broker %" PRId32 " tells the log directories of %" PRId32
               " partitions, %" PRId32 " refused",
               request->broker_id, assignment.assigned, assignment.refused);
}
