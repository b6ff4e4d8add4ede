#include "tests/unit/metadata/scan.h"

#include <string.h>

enum { LEADERLESS = -1, REASSIGNING = -2, IMBALANCED = -3 };

struct tally {
    int32_t broker_id;
    size_t count;
    bool leads;
    bool wrong; /* something listed that does not belong, or out of order */
    struct uuid last_topic;
    int32_t last_partition;
};

static bool belongs(const struct image_partition *partition, int32_t broker_id)
{
    if (broker_id == LEADERLESS) {
        return partition->leader < 0;
    }
    if (broker_id == REASSIGNING) {
        return partition->adding.count > 0 || partition->removing.count > 0;
    }
    if (broker_id == IMBALANCED) {
        return partition->leader != partition->replicas.ids[0];
    }
    for (int32_t i = 0; i < partition->isr.count; i++) {
        if (partition->isr.ids[i] == broker_id) {
            return true;
        }
    }
    return false;
}

static bool see_listed(void *ctx, const struct image_topic *topic,
                       const struct image_partition *partition)
{
    struct tally *tally = ctx;
    int order = memcmp(tally->last_topic.bytes, topic->id.bytes, sizeof topic->id.bytes);
    bool ascending = tally->count == 0 || order < 0 ||
                     (order == 0 && tally->last_partition < partition->partition);
    tally->wrong = tally->wrong || !ascending || !belongs(partition, tally->broker_id);
    tally->count++;
    tally->last_topic = topic->id;
    tally->last_partition = partition->partition;
    return true;
}

static bool see_topic(void *ctx, const struct image_topic *topic)
{
    struct tally *tally = ctx;
    for (int32_t i = 0; i < topic->partition_count; i++) {
        const struct image_partition *partition = topic->partitions[i];
        if (partition != NULL) {
            tally->count += belongs(partition, tally->broker_id);
            tally->leads = tally->leads || partition->leader == tally->broker_id;
        }
    }
    return true;
}

static void list(const struct image *image, struct tally *tally)
{
    switch (tally->broker_id) {
    case LEADERLESS:
        image_each_leaderless(image, see_listed, tally);
        break;
    case REASSIGNING:
        image_each_reassigning(image, see_listed, tally);
        break;
    case IMBALANCED:
        image_each_imbalanced(image, see_listed, tally);
        break;
    default:
        image_each_isr_partition(image, tally->broker_id, see_listed, tally);
        tally->leads = image_leads_any(image, tally->broker_id);
        break;
    }
}

const char *scan_differs(const struct image *image, int32_t broker_count)
{
    for (int32_t id = IMBALANCED; id < broker_count; id++) {
        struct tally listed = {.broker_id = id};
        struct tally scanned = {.broker_id = id};
        image_each_topic(image, see_topic, &scanned);
        list(image, &listed);
        if (id >= 0 && listed.leads != scanned.leads) {
            return "whether a broker leads any";
        }
        if (listed.wrong) {
            return "a partition is listed that should not be";
        }
        if (listed.count != scanned.count) {
            return "a partition is not listed";
        }
    }
    return NULL;
}
