/* The small text files of a log directory, as a disk may give them back: the first byte says which,
 * the rest is the file.
 *
 * What cannot be read says why; what can be read is written again, and then reads the same. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "broker/log/log_parts.h"
#include "common/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_bytes(struct bytes *a, struct bytes *b)
{
    ASSERT(a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0));
    bytes_free(a);
    bytes_free(b);
}

static void explained(enum err e, const struct err_text *text)
{
    ASSERT((e == ERR_NONE) == (text->text[0] == '\0'));
}

/* recovery-point-offset-checkpoint and the three others of its form. */
static void try_checkpoint(const uint8_t *data, size_t size)
{
    struct checkpoint first = {0};
    struct checkpoint second = {0};
    struct bytes a = {0};
    struct bytes b = {0};
    struct err_text text = {""};
    enum err e = checkpoint_parse(data, size, &first, &text);
    explained(e, &text);
    if (e == ERR_NONE) {
        checkpoint_format(&first, &a);
        ASSERT(checkpoint_parse(a.data, a.size, &second, NULL) == ERR_NONE);
        ASSERT(second.count == first.count);
        checkpoint_format(&second, &b);
        same_bytes(&a, &b);
        checkpoint_free(&second);
        checkpoint_free(&first);
    }
}

/* leader-epoch-checkpoint. */
static void try_epochs(const uint8_t *data, size_t size)
{
    struct epochs first = {0};
    struct epochs second = {0};
    struct bytes a = {0};
    struct bytes b = {0};
    struct err_text text = {""};
    enum err e = epochs_parse(data, size, &first, &text);
    explained(e, &text);
    if (e == ERR_NONE) {
        epochs_format(&first, &a);
        ASSERT(epochs_parse(a.data, a.size, &second, NULL) == ERR_NONE);
        epochs_format(&second, &b);
        same_bytes(&a, &b);
        for (size_t i = 0; i < first.count; i++) {
            int32_t found = -1;
            int64_t end = -1;
            ASSERT(epochs_at(&first, first.entries[i].start_offset) == first.entries[i].epoch);
            epochs_end_of(&first, first.entries[i].epoch, INT64_MAX, &found, &end);
            ASSERT(found == first.entries[i].epoch && end >= first.entries[i].start_offset);
        }
        size_t before = first.count;
        (void)epochs_truncate_start(&first, 5);
        (void)epochs_truncate_end(&first, 9);
        ASSERT(first.count <= before);
    }
    epochs_free(&first);
    epochs_free(&second);
}

static void try_meta(const uint8_t *data, size_t size)
{
    struct log_dir_meta first;
    struct log_dir_meta second;
    struct bytes out = {0};
    struct err_text text = {""};
    enum err e = meta_parse(data, size, &first, &text);
    explained(e, &text);
    if (e == ERR_NONE) {
        meta_format(&first, &out);
        ASSERT(meta_parse(out.data, out.size, &second, NULL) == ERR_NONE);
        ASSERT(strcmp(first.cluster_id, second.cluster_id) == 0);
        ASSERT(first.node_id == second.node_id);
        ASSERT(uuid_equal(&first.directory_id, &second.directory_id));
        bytes_free(&out);
    }
}

static void try_partition_metadata(const uint8_t *data, size_t size)
{
    struct uuid first = uuid_zero();
    struct uuid second = uuid_zero();
    struct bytes out = {0};
    struct err_text text = {""};
    enum err e = partition_metadata_parse(data, size, &first, &text);
    explained(e, &text);
    if (e == ERR_NONE) {
        partition_metadata_format(&first, &out);
        ASSERT(partition_metadata_parse(out.data, out.size, &second, NULL) == ERR_NONE);
        ASSERT(uuid_equal(&first, &second));
        bytes_free(&out);
    }
}

/* .kafka_cleanshutdown */
static void try_clean_shutdown(const uint8_t *data, size_t size)
{
    struct bytes out = {0};
    int64_t epoch = clean_shutdown_parse(data, size);
    ASSERT(epoch >= -1);
    clean_shutdown_format(epoch, &out);
    ASSERT(clean_shutdown_parse(out.data, out.size) == epoch);
    bytes_free(&out);
}

/* Names of partition directories and of segments. */
static void try_names(const uint8_t *data, size_t size)
{
    char name[LOG_NAME_MAX];
    char topic[LOG_NAME_MAX];
    int32_t partition = -1;
    int64_t base = -1;
    size_t length = size < sizeof name ? size : sizeof name - 1;
    memcpy(name, data, length);
    name[length] = '\0';
    if (partition_name_parse(name, topic, sizeof topic, &partition)) {
        ASSERT(partition >= 0 && topic[0] != '\0' && strlen(topic) < strlen(name));
    }
    if (segment_name_parse(name, ".log", &base)) {
        char *path = segment_path("", base, ".log");
        ASSERT(strcmp(path + 1, name) == 0);
        mem_free(path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(const uint8_t *data, size_t size) = {
        try_checkpoint,         try_epochs,         try_meta,
        try_partition_metadata, try_clean_shutdown, try_names};
    if (size > 0) {
        tries[data[0] % (sizeof tries / sizeof tries[0])](data + 1, size - 1);
    }
    return 0;
}
