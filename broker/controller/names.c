/* Topic names: what is allowed, what collides, and sets of them. */
#include <inttypes.h>
#include <string.h>

#include "broker/controller/controller_internal.h"

enum { TOPIC_NAME_BYTES_MAX = 249 };

static bool allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool topic_name_valid(struct wire_str name, struct err_text *text)
{
    if (name.size <= 0) {
        err_set(text, "a topic needs a name");
        return false;
    }
    if (name.size > TOPIC_NAME_BYTES_MAX) {
        err_set(text, "a topic name may have %d characters, this one has %" PRId32,
                TOPIC_NAME_BYTES_MAX, name.size);
        return false;
    }
    for (int32_t i = 0; i < name.size; i++) {
        if (!allowed(name.data[i])) {
            err_set(text, "a topic name holds letters, digits, '.', '_' and '-' only");
            return false;
        }
    }
    if (wire_str_is(name, ".") || wire_str_is(name, "..")) {
        err_set(text, "a topic cannot be called \"%.*s\"", (int)name.size, name.data);
        return false;
    }
    return true;
}

/* ---- collisions: '.' and '_' become the same character in the names of metrics ---- */

struct prefix_search {
    const char *prefix;
    size_t size;
    bool found;
};

static bool see_first(void *ctx, const struct image_topic *topic)
{
    struct prefix_search *search = ctx;
    search->found = strncmp(topic->name, search->prefix, search->size) == 0;
    return false;
}

/* Tries both characters at each place from `at` on, only where some topic begins that way. */
static bool collide(const struct image *image, char *name, size_t at)
{
    size_t next = at + strcspn(name + at, "._");
    if (name[next] == '\0') {
        return image_topic_by_name(image, name) != NULL;
    }
    static const char both[] = {'.', '_'};
    char saved = name[next];
    for (size_t i = 0; i < sizeof both; i++) {
        char after = name[next + 1];
        name[next] = both[i];
        name[next + 1] = '\0';
        struct prefix_search search = {name, next + 1, false};
        image_each_topic_from(image, name, see_first, &search);
        name[next + 1] = after;
        if (search.found && collide(image, name, next + 1)) {
            return true; /* `name` is the topic it collides with */
        }
    }
    name[next] = saved;
    return false;
}

bool topic_name_collides(const struct image *image, char *name)
{
    return strpbrk(name, "._") != NULL && collide(image, name, 0);
}

/* ---- sets ---- */

static void member_free(struct pmap_value *value)
{
    mem_free(value);
}

bool name_set_add(struct name_set *set, const void *data, size_t size)
{
    ASSERT(data != NULL && size > 0);
    struct pmap_key key = {data, size};
    if (pmap_get(&set->members, key) != NULL) {
        return false;
    }
    struct pmap_value *member = mem_alloc(sizeof *member);
    *member = (struct pmap_value){1, member_free};
    pmap_put(&set->members, key, member);
    return true;
}

bool name_set_has(const struct name_set *set, const void *data, size_t size)
{
    return pmap_get(&set->members, (struct pmap_key){data, size}) != NULL;
}

void name_set_free(struct name_set *set)
{
    pmap_clear(&set->members);
}
