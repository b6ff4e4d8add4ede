/* From a broker to its partitions: those it is in the ISR of, whether it leads any, and how many it
 * is the first replica of. Kept as partitions change, so that what a broker's coming and going
 * costs is in proportion to what that broker holds.
 *
 * One node per broker, topic and run of CHUNK partitions, under a key that sorts in that order;
 * negative numbers stand for what partitions have in common: no leader, another leader than the
 * first replica, a reassignment. Nodes are shared between images and copied before
 * they change, like everything else. */
#include <string.h>

#include "broker/metadata/image_internal.h"

enum { NOBODY = -1, REASSIGNING = -2, IMBALANCED = -3, CHUNK = 512, WORD_BITS = 64 };

struct members_node {
    struct pmap_value value;
    int32_t broker_id;
    struct uuid topic_id;
    int32_t first;  /* partition of the first bit */
    int32_t listed; /* bits set */
    int32_t led;    /* partitions of these that the broker leads */
    uint64_t bits[CHUNK / WORD_BITS];
};

struct members_key {
    uint8_t bytes[sizeof(struct id_key) + sizeof(struct uuid) + sizeof(struct id_key)];
};

static struct members_key key_of(int32_t broker_id, const struct uuid *topic_id, int32_t partition)
{
    struct members_key key;
    struct id_key broker = id_key_of(broker_id);
    struct id_key chunk = id_key_of(partition / CHUNK);
    memcpy(key.bytes, broker.bytes, sizeof broker);
    memcpy(key.bytes + sizeof broker, topic_id->bytes, sizeof *topic_id);
    memcpy(key.bytes + sizeof broker + sizeof *topic_id, chunk.bytes, sizeof chunk);
    return key;
}

static void members_free(struct pmap_value *value)
{
    mem_free(NODE_OF(value, members_node));
}

/* The node, private to this image. */
static struct members_node *members_own(struct image *image, struct pmap_key key, int32_t broker_id,
                                        const struct uuid *topic_id, int32_t partition)
{
    ASSERT(partition >= 0 && partition < IMAGE_PARTITIONS_MAX);
    struct pmap_value **slot = pmap_own(&image->members, key);
    if (slot != NULL && (*slot)->refs == 1) {
        return NODE_OF(*slot, members_node);
    }
    struct members_node *node = mem_zalloc(sizeof *node);
    if (slot != NULL) {
        *node = *NODE_OF(*slot, members_node);
        node->value = (struct pmap_value){1, members_free};
        pmap_value_unref(*slot);
        *slot = &node->value;
    } else {
        node->value = (struct pmap_value){1, members_free};
        node->broker_id = broker_id;
        node->topic_id = *topic_id;
        node->first = partition - partition % CHUNK;
        pmap_put(&image->members, key, &node->value);
    }
    return node;
}

enum listing { UNLIST, LIST, LISTED_OR_NOT };

static void change(struct image *image, int32_t broker_id, const struct uuid *topic_id,
                   int32_t partition, enum listing listing, int32_t led)
{
    struct members_key bytes = key_of(broker_id, topic_id, partition);
    struct pmap_key key = {bytes.bytes, sizeof bytes.bytes};
    struct members_node *node = members_own(image, key, broker_id, topic_id, partition);
    uint64_t *word = &node->bits[partition % CHUNK / WORD_BITS];
    uint64_t bit = UINT64_C(1) << (partition % WORD_BITS);
    bool was = (*word & bit) != 0;
    if (listing == LIST && !was) {
        *word |= bit;
        node->listed++;
    } else if (listing == UNLIST && was) {
        *word &= ~bit;
        node->listed--;
    }
    node->led += led;
    ASSERT(node->listed >= 0 && node->listed <= CHUNK && node->led >= 0 && node->led <= CHUNK);
    if (node->listed == 0 && node->led == 0) {
        bool removed = pmap_remove(&image->members, key);
        ASSERT(removed);
    }
}

static bool has(const struct image_partition *partition, int32_t broker_id)
{
    for (int32_t i = 0; partition != NULL && i < partition->isr.count; i++) {
        if (partition->isr.ids[i] == broker_id) {
            return true;
        }
    }
    return false;
}

static void leader_changed(struct image *image, const struct uuid *topic_id, int32_t partition,
                           int32_t leader, int32_t led)
{
    ASSERT(led == 1 || led == -1);
    if (leader >= 0) {
        change(image, leader, topic_id, partition, LISTED_OR_NOT, led);
    } else {
        change(image, NOBODY, topic_id, partition, led == 1 ? LIST : UNLIST, 0);
    }
}

static bool reassigns(const struct image_partition *partition)
{
    return partition != NULL && (partition->adding.count > 0 || partition->removing.count > 0);
}

static bool imbalanced(const struct image_partition *partition)
{
    return partition != NULL && partition->leader != partition->replicas.ids[0];
}

static void trait_changed(struct image *image, int32_t trait, const struct uuid *topic_id,
                          int32_t partition, bool before, bool after)
{
    if (before != after) {
        change(image, trait, topic_id, partition, after ? LIST : UNLIST, 0);
    }
}

void members_changed(struct image *image, const struct uuid *topic_id,
                     const struct image_partition *before, const struct image_partition *after)
{
    ASSERT(before != NULL || after != NULL);
    ASSERT(before == NULL || after == NULL || before->partition == after->partition);
    int32_t partition = before != NULL ? before->partition : after->partition;
    for (int32_t i = 0; before != NULL && i < before->isr.count; i++) {
        int32_t id = before->isr.ids[i];
        if (id >= 0 && !has(after, id)) {
            change(image, id, topic_id, partition, UNLIST, 0);
        }
    }
    for (int32_t i = 0; after != NULL && i < after->isr.count; i++) {
        int32_t id = after->isr.ids[i];
        if (id >= 0 && !has(before, id)) {
            change(image, id, topic_id, partition, LIST, 0);
        }
    }
    trait_changed(image, REASSIGNING, topic_id, partition, reassigns(before), reassigns(after));
    trait_changed(image, IMBALANCED, topic_id, partition, imbalanced(before), imbalanced(after));
    bool same = before != NULL && after != NULL && before->leader == after->leader;
    if (before != NULL && !same) {
        leader_changed(image, topic_id, partition, before->leader, -1);
    }
    if (after != NULL && !same) {
        leader_changed(image, topic_id, partition, after->leader, 1);
    }
}

/* ---- looking ---- */

struct members_walk {
    const struct image *image;
    int32_t broker_id;
    bool leads;
    image_partition_fn *each; /* NULL: only whether it leads any */
    void *ctx;
};

static bool walk_bits(const struct members_walk *walk, const struct members_node *node)
{
    const struct image_topic *topic = image_topic_by_id(walk->image, &node->topic_id);
    ASSERT(topic != NULL);
    for (int32_t word = 0; word < CHUNK / WORD_BITS; word++) {
        for (uint64_t left = node->bits[word]; left != 0; left &= left - 1) {
            int32_t id = node->first + word * WORD_BITS + (int32_t)__builtin_ctzll(left);
            ASSERT(id < topic->partition_count && topic->partitions[id] != NULL);
            if (!walk->each(walk->ctx, topic, topic->partitions[id])) {
                return false;
            }
        }
    }
    return true;
}

static bool walk_node(void *ctx, struct pmap_value *value)
{
    struct members_walk *walk = ctx;
    const struct members_node *node = NODE_OF(value, members_node);
    if (node->broker_id != walk->broker_id) {
        return false;
    }
    if (walk->each == NULL) {
        walk->leads = node->led > 0;
        return !walk->leads;
    }
    return walk_bits(walk, node);
}

static void walk_members(struct members_walk *walk)
{
    struct id_key from = id_key_of(walk->broker_id);
    pmap_each(&walk->image->members, (struct pmap_key){from.bytes, sizeof from.bytes}, walk_node,
              walk);
}

void image_each_isr_partition(const struct image *image, int32_t broker_id,
                              image_partition_fn *each, void *ctx)
{
    ASSERT(each != NULL && broker_id >= 0);
    struct members_walk walk = {.image = image, .broker_id = broker_id, .each = each, .ctx = ctx};
    walk_members(&walk);
}

static void each_with(const struct image *image, int32_t trait, image_partition_fn *each, void *ctx)
{
    ASSERT(each != NULL && trait < 0);
    struct members_walk walk = {.image = image, .broker_id = trait, .each = each, .ctx = ctx};
    walk_members(&walk);
}

void image_each_leaderless(const struct image *image, image_partition_fn *each, void *ctx)
{
    each_with(image, NOBODY, each, ctx);
}

void image_each_reassigning(const struct image *image, image_partition_fn *each, void *ctx)
{
    each_with(image, REASSIGNING, each, ctx);
}

void image_each_imbalanced(const struct image *image, image_partition_fn *each, void *ctx)
{
    each_with(image, IMBALANCED, each, ctx);
}

bool image_leads_any(const struct image *image, int32_t broker_id)
{
    ASSERT(broker_id >= 0);
    struct members_walk walk = {.image = image, .broker_id = broker_id};
    walk_members(&walk);
    return walk.leads;
}
