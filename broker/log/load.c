/* Opening a partition directory: makes it when absent, removes what earlier lives left over, learns
 * which segments there are. What they hold is recover.c's. All of it on a worker. */
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_internal.h"
#include "common/base/assert.h"

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(names[i]);
    }
    mem_free(names);
}

void load_release(struct task *task)
{
    struct load *load = CONTAINER_OF(task, struct load, task);
    mem_free(load->path);
    mem_free(load->dir_path);
    mem_free(load->name);
    for (size_t i = 0; i < load->segment_count; i++) {
        index_free(&load->segments[i].index);
    }
    mem_free(load->segments);
    epochs_free(&load->epochs);
    producers_free(&load->producers);
    mem_free(load->bases);
    mem_free(load->snapshots);
    free_names(load->leftovers, load->leftover_count);
    free_names(load->swaps, load->swap_count);
}

/* ---- the directory ------------------------------------------------------------------------------
 */

static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name);
    size_t tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0;
}

static void on_name(void *ctx, const char *name, bool is_dir)
{
    struct load *load = ctx;
    int64_t offset = 0;
    if (is_dir) {
        return;
    }
    if (segment_name_parse(name, ".log", &offset)) {
        *MEM_PUSH(load->bases, load->base_count, load->base_capacity) = offset;
    } else if (segment_name_parse(name, ".snapshot", &offset)) {
        *MEM_PUSH(load->snapshots, load->snapshot_count, load->snapshot_capacity) = offset;
    } else if (strcmp(name, "partition.metadata") == 0) {
        load->found_metadata = true;
    } else if (segment_name_parse(name, ".log.swap", &offset)) {
        *MEM_PUSH(load->swaps, load->swap_count, load->swap_capacity) = mem_strdup(name);
    } else if (ends_with(name, ".deleted") || ends_with(name, ".cleaned") ||
               ends_with(name, ".tmp") || ends_with(name, ".swap")) {
        /* An index or snapshot that was about to be swapped in is made anew when it is missed. */
        *MEM_PUSH(load->leftovers, load->leftover_count, load->leftover_capacity) =
            mem_strdup(name);
    }
}

static int by_offset(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static enum err list_names(struct load *load, struct env_fs *fs)
{
    load->base_count = 0;
    load->snapshot_count = 0;
    enum err e = env_fs_list(fs, load->path, on_name, load, &load->task.text);
    if (load->base_count > 1) {
        qsort(load->bases, load->base_count, sizeof *load->bases, by_offset);
    }
    if (load->snapshot_count > 1) {
        qsort(load->snapshots, load->snapshot_count, sizeof *load->snapshots, by_offset);
    }
    return e;
}

/* Either make.c made the directory and its partition.metadata and ended before they were synced, or
 * found_directory did. */
static enum err write_metadata(struct load *load, struct env_fs *fs)
{
    struct bytes content = {0};
    partition_metadata_format(&load->topic_id, &content);
    char *path = path_join(load->path, "partition.metadata");
    enum err e = env_fs_replace(fs, path, content.data, content.size, &load->task.text);
    mem_free(path);
    bytes_free(&content);
    return e;
}

/* The directory's own name first, then partition.metadata in it: where that file is, the name is
 * durable. A life that ended between the two leaves a directory without the file, and the next
 * makes up for it. */
static enum err found_directory(struct load *load, struct env_fs *fs)
{
    enum err e = env_fs_sync_dir(fs, load->dir_path, &load->task.text);
    return e == ERR_NONE && !uuid_is_zero(&load->topic_id) ? write_metadata(load, fs) : e;
}

static enum err create(struct load *load, struct env_fs *fs)
{
    load->opened.created = true;
    return found_directory(load, fs);
}

static enum err check_metadata(struct load *load, struct env_fs *fs)
{
    if (!load->found_metadata) {
        return found_directory(load, fs);
    }
    bool used = load->base_count > 0 || load->snapshot_count > 0;
    struct bytes content = {0};
    struct uuid found = uuid_zero();
    char *path = path_join(load->path, "partition.metadata");
    enum err e = env_fs_slurp(fs, path, 4096, &content, &load->task.text);
    if (e == ERR_NONE) {
        e = partition_metadata_parse(content.data, content.size, &found, &load->task.text);
        if (!used && (e != ERR_NONE || uuid_equal(&found, &load->topic_id))) {
            /* Torn before anything was written beside it; or whole, for all we know in the system's
             * memory only, since the life that made it may have ended before it was synced. */
            e = found_directory(load, fs);
            found = load->topic_id;
        } else if (e != ERR_NONE) {
            err_wrap(&load->task.text, "%s is damaged", path);
        }
    }
    if (e == ERR_NONE && !uuid_equal(&found, &load->topic_id) && !uuid_is_zero(&load->topic_id)) {
        char has[UUID_TEXT_BYTES];
        char wants[UUID_TEXT_BYTES];
        err_set(&load->task.text, "%s belongs to topic id %s, not to %s", load->path,
                uuid_format(&found, has), uuid_format(&load->topic_id, wants));
        e = ERR_STALE;
    }
    mem_free(path);
    bytes_free(&content);
    return e;
}

/* ---- leftovers ----------------------------------------------------------------------------------
 */

static enum err remove_leftovers(struct load *load, struct env_fs *fs)
{
    enum err e = ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < load->leftover_count; i++) {
        char *path = path_join(load->path, load->leftovers[i]);
        e = file_remove(fs, path, &load->task.text);
        mem_free(path);
    }
    if (e == ERR_NONE && load->leftover_count > 0) {
        e = env_fs_sync_dir(fs, load->path, &load->task.text);
    }
    return e;
}

enum err load_remove_segment(struct load *load, struct env_fs *fs, int64_t base_offset)
{
    enum err e = ERR_NONE;
    for (int i = 0; e == ERR_NONE && segment_suffixes[i] != NULL; i++) {
        if (strcmp(segment_suffixes[i], ".snapshot") == 0) {
            continue; /* judged by offset, not by segment */
        }
        char *path = segment_path(load->path, base_offset, segment_suffixes[i]);
        e = file_remove(fs, path, &load->task.text);
        mem_free(path);
    }
    return e;
}

/* A compaction that had begun to replace: its result stands for every segment it covers. */
static enum err finish_swap(struct load *load, struct env_fs *fs, const char *name)
{
    int64_t base = 0;
    bool named = segment_name_parse(name, ".log.swap", &base);
    ASSERT(named);
    char *from = path_join(load->path, name);
    char *to = segment_path(load->path, base, ".log");
    struct env_file *file = NULL;
    struct segment_facts facts = {.base_offset = base};
    int64_t size = 0;
    enum err e = env_fs_open(fs, from, ENV_OPEN_READ, &file, &load->task.text);
    if (e == ERR_NONE) {
        e = env_fs_size(fs, file, &size, &load->task.text);
    }
    if (e == ERR_NONE) {
        e = segment_walk(fs, file, size, INT64_MAX, true, load->index_interval_bytes, &facts, NULL,
                         NULL, &load->task.text);
    }
    for (size_t i = 0; e == ERR_NONE && i < load->base_count; i++) {
        /* Its own predecessor too when nothing is left: the old indexes must not be taken for its.
         */
        if (load->bases[i] == base ||
            (load->bases[i] > base && load->bases[i] < facts.end_offset)) {
            e = load_remove_segment(load, fs, load->bases[i]);
        }
    }
    if (e == ERR_NONE) {
        e = env_fs_rename(fs, from, to, &load->task.text);
    }
    if (e == ERR_NONE) {
        e = env_fs_sync_dir(fs, load->path, &load->task.text);
    }
    index_free(&facts.index);
    env_file_unref(file);
    mem_free(from);
    mem_free(to);
    return e;
}

static enum err tidy(struct load *load, struct env_fs *fs)
{
    enum err e = remove_leftovers(load, fs);
    for (size_t i = 0; e == ERR_NONE && i < load->swap_count; i++) {
        e = finish_swap(load, fs, load->swaps[i]);
    }
    if (e == ERR_NONE && load->swap_count > 0) {
        e = list_names(load, fs);
    }
    return e;
}

void load_run(struct task *task, struct env_fs *fs)
{
    struct load *load = CONTAINER_OF(task, struct load, task);
    if (load->fresh) {
        load->opened.created = true;
        return;
    }
    enum err e = env_fs_mkdir(fs, load->path, &task->text);
    if (e == ERR_NONE) {
        e = create(load, fs);
    } else if (e == ERR_EXISTS) {
        e = list_names(load, fs);
        if (e == ERR_NONE) {
            e = check_metadata(load, fs);
        }
        if (e == ERR_NONE) {
            e = tidy(load, fs);
        }
    }
    if (e == ERR_NONE) {
        e = load_segments(load, fs);
    }
    task->error = e;
}
