/* A node's refs count its parents: roots and nodes. A node is private to a map when every node from
 * the root down to it has one reference, so whoever changes something walks down from the root and
 * copies each node with more (node_own). Copying a node shares its children, which makes their
 * counts say so. */
#include "broker/metadata/pmap.h"

#include <string.h>

#include "common/base/assert.h"
#include "common/base/mem.h"

struct pmap_node {
    uint32_t refs;
    int32_t height;
    struct pmap_node *left;
    struct pmap_node *right;
    struct pmap_value *value;
    size_t key_size;
    uint8_t key[];
};

static struct pmap_node *node_ref(struct pmap_node *node)
{
    if (node != NULL) {
        ASSERT(node->refs > 0);
        node->refs++;
    }
    return node;
}

static void node_unref(struct pmap_node *node)
{
    if (node == NULL || --node->refs > 0) {
        return;
    }
    ASSERT(node->value->refs > 0);
    node_unref(node->left);
    node_unref(node->right);
    pmap_value_unref(node->value);
    mem_free(node);
}

static struct pmap_node *node_new(struct pmap_key key, struct pmap_value *value)
{
    struct pmap_node *node = mem_zalloc(sizeof *node + key.size);
    node->refs = 1;
    node->height = 1;
    node->value = value;
    node->key_size = key.size;
    if (key.size > 0) {
        memcpy(node->key, key.data, key.size);
    }
    return node;
}

/* Takes over the caller's reference; the result is the caller's alone. */
static struct pmap_node *node_own(struct pmap_node *node)
{
    ASSERT(node->refs > 0);
    if (node->refs == 1) {
        return node;
    }
    struct pmap_node *copy = node_new((struct pmap_key){node->key, node->key_size}, node->value);
    copy->value->refs++;
    copy->height = node->height;
    copy->left = node_ref(node->left);
    copy->right = node_ref(node->right);
    node->refs--;
    return copy;
}

static int key_compare(struct pmap_key key, const struct pmap_node *node)
{
    size_t size = key.size < node->key_size ? key.size : node->key_size;
    int order = size == 0 ? 0 : memcmp(key.data, node->key, size);
    if (order != 0) {
        return order;
    }
    return key.size < node->key_size ? -1 : key.size > node->key_size;
}

static int32_t node_height(const struct pmap_node *node)
{
    return node == NULL ? 0 : node->height;
}

static void node_measure(struct pmap_node *node)
{
    int32_t left = node_height(node->left);
    int32_t right = node_height(node->right);
    node->height = (left > right ? left : right) + 1;
}

/* `node` is owned; so is the result. */
static struct pmap_node *rotate_right(struct pmap_node *node)
{
    ASSERT(node->refs == 1 && node->left != NULL);
    struct pmap_node *up = node_own(node->left);
    node->left = up->right;
    up->right = node;
    node_measure(node);
    node_measure(up);
    return up;
}

static struct pmap_node *rotate_left(struct pmap_node *node)
{
    ASSERT(node->refs == 1 && node->right != NULL);
    struct pmap_node *up = node_own(node->right);
    node->right = up->left;
    up->left = node;
    node_measure(node);
    node_measure(up);
    return up;
}

static struct pmap_node *balance(struct pmap_node *node)
{
    int32_t lean = node_height(node->left) - node_height(node->right);
    ASSERT(lean >= -2 && lean <= 2);
    if (lean > 1) {
        if (node_height(node->left->left) < node_height(node->left->right)) {
            node->left = rotate_left(node_own(node->left));
        }
        return rotate_right(node);
    }
    if (lean < -1) {
        if (node_height(node->right->right) < node_height(node->right->left)) {
            node->right = rotate_right(node_own(node->right));
        }
        return rotate_left(node);
    }
    node_measure(node);
    return node;
}

static struct pmap_node *insert(struct pmap_node *node, struct pmap_key key,
                                struct pmap_value *value, bool *added)
{
    if (node == NULL) {
        *added = true;
        return node_new(key, value);
    }
    node = node_own(node);
    int order = key_compare(key, node);
    if (order == 0) {
        pmap_value_unref(node->value);
        node->value = value;
        return node;
    }
    if (order < 0) {
        node->left = insert(node->left, key, value, added);
    } else {
        node->right = insert(node->right, key, value, added);
    }
    return balance(node);
}

/* Unhooks the leftmost node of an owned or shared subtree into *first (owned, childless). */
static struct pmap_node *take_first(struct pmap_node *node, struct pmap_node **first)
{
    node = node_own(node);
    if (node->left == NULL) {
        struct pmap_node *rest = node->right;
        node->right = NULL;
        *first = node;
        return rest;
    }
    node->left = take_first(node->left, first);
    return balance(node);
}

static struct pmap_node *erase(struct pmap_node *node, struct pmap_key key)
{
    ASSERT(node != NULL);
    node = node_own(node);
    int order = key_compare(key, node);
    if (order < 0) {
        node->left = erase(node->left, key);
        return balance(node);
    }
    if (order > 0) {
        node->right = erase(node->right, key);
        return balance(node);
    }
    struct pmap_node *left = node->left;
    struct pmap_node *right = node->right;
    node->left = NULL;
    node->right = NULL;
    node_unref(node);
    if (right == NULL) {
        return left;
    }
    struct pmap_node *up = NULL;
    right = take_first(right, &up);
    up->left = left;
    up->right = right;
    return balance(up);
}

struct pmap pmap_clone(const struct pmap *map)
{
    return (struct pmap){node_ref(map->root), map->count};
}

void pmap_clear(struct pmap *map)
{
    node_unref(map->root);
    *map = (struct pmap){0};
}

struct pmap_value *pmap_get(const struct pmap *map, struct pmap_key key)
{
    const struct pmap_node *node = map->root;
    while (node != NULL) {
        int order = key_compare(key, node);
        if (order == 0) {
            return node->value;
        }
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

void pmap_put(struct pmap *map, struct pmap_key key, struct pmap_value *value)
{
    ASSERT(value != NULL && value->refs > 0);
    bool added = false;
    map->root = insert(map->root, key, value, &added);
    map->count += added;
    ASSERT(map->root->refs == 1 && map->root->height < 64);
}

struct pmap_value **pmap_own(struct pmap *map, struct pmap_key key)
{
    if (pmap_get(map, key) == NULL) {
        return NULL;
    }
    struct pmap_node **at = &map->root;
    for (;;) {
        *at = node_own(*at);
        int order = key_compare(key, *at);
        if (order == 0) {
            return &(*at)->value;
        }
        at = order < 0 ? &(*at)->left : &(*at)->right;
    }
}

bool pmap_remove(struct pmap *map, struct pmap_key key)
{
    if (pmap_get(map, key) == NULL) {
        return false;
    }
    ASSERT(map->count > 0);
    map->root = erase(map->root, key);
    map->count--;
    return true;
}

static bool walk(const struct pmap_node *node, struct pmap_key from,
                 bool (*each)(void *ctx, struct pmap_value *value), void *ctx)
{
    if (node == NULL) {
        return true;
    }
    if (key_compare(from, node) <= 0) {
        if (!walk(node->left, from, each, ctx) || !each(ctx, node->value)) {
            return false;
        }
    }
    return walk(node->right, from, each, ctx);
}

void pmap_each(const struct pmap *map, struct pmap_key from,
               bool (*each)(void *ctx, struct pmap_value *value), void *ctx)
{
    walk(map->root, from, each, ctx);
}
