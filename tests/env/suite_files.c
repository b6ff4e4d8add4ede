/* The blocking file face. Every body runs inside a job. */
#include "tests/env/suite_internal.h"

enum { WRITE_NEW = ENV_OPEN_WRITE | ENV_OPEN_CREATE, MEGABYTE = 1 << 20 };

/* The text must name the path and say something of the cause. */
static bool tells(const struct err_text *text, const char *path)
{
    const char *found = strstr(text->text, path);
    return found != NULL && strlen(text->text) > strlen(path) + 4;
}

static enum err put(struct env_fs *fs, struct env_file *file, const char *words, int64_t at)
{
    struct env_iov iov = {(const uint8_t *)words, strlen(words)};
    struct err_text text;
    return env_fs_write(fs, file, &iov, 1, at, &text);
}

static bool holds(struct env_fs *fs, struct env_file *file, const char *words, size_t size)
{
    char got[256];
    size_t count = 0;
    struct err_text text;
    ASSERT(size < sizeof got);
    return env_fs_read(fs, file, got, sizeof got, 0, &count, &text) == ERR_NONE && count == size &&
           memcmp(got, words, size) == 0;
}

/* Creates (or replaces) a file that holds `words`. */
static enum err make(struct env_fs *fs, const char *path, const char *words)
{
    struct err_text text;
    struct env_file *file = NULL;
    enum err e = env_fs_open(fs, path, WRITE_NEW | ENV_OPEN_TRUNCATE, &file, &text);
    if (e == ERR_NONE) {
        e = put(fs, file, words, 0);
        env_file_unref(file);
    }
    return e;
}

static void opening(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    struct env_file *file = NULL;
    const char *path = suite_path(j, "opened");
    JOB_CHECK(j, env_fs_open(fs, path, ENV_OPEN_READ, &file, &text) == ERR_NOT_FOUND);
    JOB_CHECK(j, tells(&text, path));
    JOB_CHECK(j, env_fs_open(fs, path, ENV_OPEN_WRITE, &file, &text) == ERR_NOT_FOUND);
    JOB_CHECK(j, env_fs_open(fs, path, WRITE_NEW | ENV_OPEN_EXCLUSIVE, &file, &text) == ERR_NONE);
    JOB_CHECK(j, put(fs, file, "one", 0) == ERR_NONE);
    env_file_unref(file);
    JOB_CHECK(j, env_fs_open(fs, path, WRITE_NEW | ENV_OPEN_EXCLUSIVE, &file, &text) == ERR_EXISTS);
    JOB_CHECK(j, tells(&text, path));
    JOB_CHECK(j, env_fs_open(fs, path, WRITE_NEW, &file, &text) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "one", 3));
    env_file_unref(file);
    JOB_CHECK(j, env_fs_open(fs, path, ENV_OPEN_READ, &file, NULL) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "one", 3));
    struct env_iov iov = {(const uint8_t *)"x", 1};
    JOB_CHECK(j, env_fs_write(fs, file, &iov, 1, 0, &text) != ERR_NONE);
    JOB_CHECK(j, tells(&text, path));
    JOB_CHECK(j, env_fs_lock(fs, file, &text) != ERR_NONE); /* not open for writing */
    JOB_CHECK(j, holds(fs, file, "one", 3));
    env_file_unref(file);
    JOB_CHECK(j,
              env_fs_open(fs, path, ENV_OPEN_WRITE | ENV_OPEN_TRUNCATE, &file, &text) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "", 0));
    env_file_unref(file);
    JOB_CHECK(j, env_fs_open(fs, suite_path(j, "absent/file"), WRITE_NEW, &file, &text) ==
                     ERR_NOT_FOUND);
    JOB_CHECK(j, env_fs_open(fs, suite_path(j, "absent"), ENV_OPEN_READ, &file, NULL) ==
                     ERR_NOT_FOUND);
}

static void files_open_as_asked(struct env_world *w)
{
    suite_do(w, opening, NULL);
}

static void reading_and_writing(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    struct env_file *file = NULL;
    int64_t size = -1;
    size_t got = 99;
    char to[64];
    JOB_CHECK(j, env_fs_open(fs, suite_path(j, "file"), WRITE_NEW, &file, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_size(fs, file, &size, &text) == ERR_NONE && size == 0);
    JOB_CHECK(j, env_fs_read(fs, file, to, sizeof to, 0, &got, &text) == ERR_NONE && got == 0);
    struct env_iov iov[4] = {{(const uint8_t *)"ab", 2},
                             {NULL, 0},
                             {(const uint8_t *)"cde", 3},
                             {(const uint8_t *)"f", 1}};
    JOB_CHECK(j, env_fs_write(fs, file, iov, 4, 0, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_write(fs, file, iov, 0, 100, &text) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "abcdef", 6));
    JOB_CHECK(j, env_fs_read(fs, file, to, 3, 2, &got, &text) == ERR_NONE && got == 3);
    JOB_CHECK(j, memcmp(to, "cde", 3) == 0);
    JOB_CHECK(j, env_fs_read(fs, file, to, 10, 4, &got, &text) == ERR_NONE && got == 2);
    JOB_CHECK(j, env_fs_read(fs, file, to, 10, 6, &got, &text) == ERR_NONE && got == 0);
    JOB_CHECK(j, env_fs_read(fs, file, to, 10, 6000, &got, &text) == ERR_NONE && got == 0);
    JOB_CHECK(j, put(fs, file, "XY", 2) == ERR_NONE && holds(fs, file, "abXYef", 6));
    JOB_CHECK(j, put(fs, file, "Z", 8) == ERR_NONE); /* what lies between is zero */
    JOB_CHECK(j, holds(fs, file, "abXYef\0\0Z", 9));
    JOB_CHECK(j, env_fs_truncate(fs, file, 3, &text) == ERR_NONE && holds(fs, file, "abX", 3));
    JOB_CHECK(j, env_fs_truncate(fs, file, 5, &text) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "abX\0\0", 5));
    JOB_CHECK(j, env_fs_size(fs, file, &size, &text) == ERR_NONE && size == 5);
    JOB_CHECK(j, env_fs_sync_data(fs, file, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_sync_all(fs, file, &text) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "abX\0\0", 5));
    env_file_unref(file);
}

static void bytes_go_in_and_out(struct env_world *w)
{
    suite_do(w, reading_and_writing, NULL);
}

static void many_pieces(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    struct env_file *file = NULL;
    enum { PIECES = 3000 };
    struct env_iov *iov = mem_array(PIECES, sizeof *iov);
    uint8_t *all = mem_alloc(MEGABYTE);
    uint8_t *back = mem_alloc(MEGABYTE);
    size_t total = 0;
    for (size_t i = 0; i < MEGABYTE; i++) {
        all[i] = (uint8_t)(i * 131 >> 3);
    }
    for (size_t i = 0; i < PIECES; i++) {
        iov[i] = (struct env_iov){all + total, i % 600};
        total += i % 600;
    }
    size_t got = 0;
    enum err e = env_fs_open(fs, suite_path(j, "big"), WRITE_NEW, &file, &text);
    if (e == ERR_NONE) {
        e = env_fs_write(fs, file, iov, PIECES, 7, &text);
        e = e == ERR_NONE ? env_fs_read(fs, file, back, MEGABYTE, 7, &got, &text) : e;
        env_file_unref(file);
    }
    bool same = got == total && memcmp(all, back, total) == 0;
    mem_free(iov);
    mem_free(all);
    mem_free(back);
    JOB_CHECK(j, e == ERR_NONE);
    JOB_CHECK(j, total > 800000 && same);
}

static void many_pieces_are_one_write(struct env_world *w)
{
    suite_do(w, many_pieces, NULL);
}

static void renaming(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    char from[256];
    char to[256];
    snprintf(from, sizeof from, "%s", suite_path(j, "from"));
    snprintf(to, sizeof to, "%s", suite_path(j, "to"));
    JOB_CHECK(j, env_fs_rename(fs, from, to, &text) == ERR_NOT_FOUND && tells(&text, from));
    JOB_CHECK(j, make(fs, from, "new") == ERR_NONE && make(fs, to, "old") == ERR_NONE);
    struct env_file *old = NULL;
    JOB_CHECK(j, env_fs_open(fs, to, ENV_OPEN_READ, &old, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_rename(fs, from, to, &text) == ERR_NONE);
    struct env_file *file = NULL;
    JOB_CHECK(j, env_fs_open(fs, from, ENV_OPEN_READ, &file, &text) == ERR_NOT_FOUND);
    JOB_CHECK(j, env_fs_open(fs, to, ENV_OPEN_READ, &file, &text) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "new", 3));
    JOB_CHECK(j, holds(fs, old, "old", 3)); /* what was replaced lives as long as it is held */
    env_file_unref(old);
    env_file_unref(file);
    JOB_CHECK(j, env_fs_sync_dir(fs, j->world->dir, &text) == ERR_NONE);
}

static void a_rename_replaces(struct env_world *w)
{
    suite_do(w, renaming, NULL);
}

static void unlinking(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    const char *path = suite_path(j, "doomed");
    JOB_CHECK(j, env_fs_unlink(fs, path, &text) == ERR_NOT_FOUND && tells(&text, path));
    JOB_CHECK(j, make(fs, path, "still here") == ERR_NONE);
    struct env_file *file = NULL;
    JOB_CHECK(j, env_fs_open(fs, path, WRITE_NEW, &file, &text) == ERR_NONE);
    struct env_file *again = env_file_ref(file);
    JOB_CHECK(j, env_fs_unlink(fs, path, &text) == ERR_NONE);
    env_file_unref(file);
    JOB_CHECK(j, holds(fs, again, "still here", 10));
    JOB_CHECK(j, make(fs, path, "another") == ERR_NONE);
    JOB_CHECK(j, put(fs, again, "?", 10) == ERR_NONE && holds(fs, again, "still here?", 11));
    env_file_unref(again);
    JOB_CHECK(j, env_fs_open(fs, path, ENV_OPEN_READ, &file, &text) == ERR_NONE);
    JOB_CHECK(j, holds(fs, file, "another", 7));
    env_file_unref(file);
    env_file_unref(NULL);
}

static void an_unlinked_file_lives_while_held(struct env_world *w)
{
    suite_do(w, unlinking, NULL);
}

struct seen {
    char names[256];
};

static void see(void *ctx, const char *name, bool is_dir)
{
    struct seen *seen = ctx;
    size_t length = strlen(seen->names);
    snprintf(seen->names + length, sizeof seen->names - length, "%s%s ", name, is_dir ? "/" : "");
}

static void directories(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    struct seen seen = {""};
    char dir[256];
    char moved[256];
    snprintf(dir, sizeof dir, "%s", suite_path(j, "b"));
    snprintf(moved, sizeof moved, "%s", suite_path(j, "moved"));
    JOB_CHECK(j, env_fs_list(fs, dir, see, &seen, &text) == ERR_NOT_FOUND && tells(&text, dir));
    JOB_CHECK(j, env_fs_sync_dir(fs, dir, &text) == ERR_NOT_FOUND && tells(&text, dir));
    JOB_CHECK(j, env_fs_rmdir(fs, dir, &text) == ERR_NOT_FOUND && tells(&text, dir));
    JOB_CHECK(j, env_fs_mkdir(fs, dir, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_mkdir(fs, dir, &text) == ERR_EXISTS && tells(&text, dir));
    JOB_CHECK(j, env_fs_mkdir(fs, suite_path(j, "x/y"), &text) == ERR_NOT_FOUND);
    JOB_CHECK(j, env_fs_list(fs, dir, see, &seen, &text) == ERR_NONE);
    JOB_CHECK(j, seen.names[0] == '\0');
    static const char *const names[] = {"a2", "Z", "a10", "a-b", "a.b", "0"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        JOB_CHECK(j, make(fs, suite_path(j, names[i]), "") == ERR_NONE);
    }
    JOB_CHECK(j, env_fs_list(fs, j->world->dir, see, &seen, &text) == ERR_NONE);
    JOB_CHECK(j, strcmp(seen.names, "0 Z a-b a.b a10 a2 b/ ") == 0);
    JOB_CHECK(j, make(fs, suite_path(j, "b/inside"), "in") == ERR_NONE);
    JOB_CHECK(j, env_fs_rmdir(fs, dir, &text) == ERR_EXISTS && tells(&text, dir));
    JOB_CHECK(j, env_fs_rename(fs, dir, moved, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_unlink(fs, suite_path(j, "moved/inside"), &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_sync_dir(fs, moved, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_rmdir(fs, moved, &text) == ERR_NONE);
    seen.names[0] = '\0';
    JOB_CHECK(j, env_fs_list(fs, j->world->dir, see, &seen, &text) == ERR_NONE);
    JOB_CHECK(j, strcmp(seen.names, "0 Z a-b a.b a10 a2 ") == 0);
}

static void directories_are_listed_in_order(struct env_world *w)
{
    suite_do(w, directories, NULL);
}

static void locking(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    const char *path = suite_path(j, ".lock");
    struct env_file *first = NULL;
    struct env_file *second = NULL;
    JOB_CHECK(j, env_fs_open(fs, path, WRITE_NEW, &first, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_open(fs, path, WRITE_NEW, &second, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_lock(fs, first, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_lock(fs, second, &text) == ERR_IN_USE && tells(&text, path));
    struct env_file *kept = env_file_ref(first);
    env_file_unref(first);
    JOB_CHECK(j, env_fs_lock(fs, second, &text) == ERR_IN_USE);
    env_file_unref(kept);
    JOB_CHECK(j, env_fs_lock(fs, second, &text) == ERR_NONE);
    env_file_unref(second);
}

static void a_lock_is_held_until_the_last_reference(struct env_world *w)
{
    suite_do(w, locking, NULL);
}

static void whole_files(struct suite_job *j, struct env_fs *fs)
{
    struct err_text text;
    struct seen seen = {""};
    const char *path = suite_path(j, "meta.properties");
    struct bytes out = {0};
    JOB_CHECK(j, env_fs_slurp(fs, path, 100, &out, &text) == ERR_NOT_FOUND && tells(&text, path));
    JOB_CHECK(j, env_fs_replace(fs, path, "version=0", 9, &text) == ERR_NONE);
    JOB_CHECK(j, env_fs_replace(fs, path, "version=1", 9, &text) == ERR_NONE);
    bytes_append(&out, "> ", 2);
    enum err e = env_fs_slurp(fs, path, 9, &out, &text);
    bool same = out.size == 11 && memcmp(out.data, "> version=1", 11) == 0;
    enum err too_large = env_fs_slurp(fs, path, 8, &out, &text);
    bool untouched = out.size == 11;
    bytes_free(&out);
    JOB_CHECK(j, e == ERR_NONE && same);
    JOB_CHECK(j, too_large == ERR_TOO_LARGE && untouched && tells(&text, path));
    JOB_CHECK(j, env_fs_list(fs, j->world->dir, see, &seen, &text) == ERR_NONE);
    JOB_CHECK(j, strcmp(seen.names, "meta.properties ") == 0);
    int64_t free_bytes = 0;
    int64_t total_bytes = 0;
    path = suite_path(j, "nowhere");
    JOB_CHECK(j, env_fs_space(fs, path, &free_bytes, &total_bytes, &text) == ERR_NOT_FOUND);
    JOB_CHECK(j, tells(&text, path));
}

static void whole_files_are_replaced_and_slurped(struct env_world *w)
{
    suite_do(w, whole_files, NULL);
}

/* clang-format off */
#define TEST(name) {#name, name}
/* clang-format on */
const struct suite_test suite_file_tests[] = {
    TEST(files_open_as_asked),
    TEST(bytes_go_in_and_out),
    TEST(many_pieces_are_one_write),
    TEST(a_rename_replaces),
    TEST(an_unlinked_file_lives_while_held),
    TEST(directories_are_listed_in_order),
    TEST(a_lock_is_held_until_the_last_reference),
    TEST(whole_files_are_replaced_and_slurped),
    {NULL, NULL},
};
