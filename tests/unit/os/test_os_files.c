/* env_fs on a real disk: what the contract suite cannot see from inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/os/os.h"
#include "common/base/mem.h"
#include "tests/unit/os/threads.h"

static char dir[] = "/tmp/barnabas-os-XXXXXX";
static struct os *os;
static struct env_fs *fs;

/* In place of the C library's: a kernel that takes and gives little at a time, and is interrupted.
 */
static size_t most_per_call = SIZE_MAX;
static int calls;

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    if (most_per_call == SIZE_MAX) {
        return syscall(SYS_pwritev, fd, iov, count, at, 0);
    }
    if (++calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return pwrite(fd, iov->iov_base, iov->iov_len < most_per_call ? iov->iov_len : most_per_call,
                  at);
}

ssize_t pread(int fd, void *to, size_t size, off_t at)
{
    if (most_per_call != SIZE_MAX && ++calls % 3 == 0) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_pread64, fd, to, size < most_per_call ? size : most_per_call, at);
}

static const char *path(const char *name)
{
    static char texts[4][256];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof texts[0], "%s/%s", dir, name);
    return text;
}

static int setup(void **state)
{
    (void)state;
    struct err_text text;
    os = os_open(NULL, &text);
    fs = os_fs(os);
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    os_free(os);
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static struct env_file *create(const char *name)
{
    struct env_file *file = NULL;
    struct err_text text = {""};
    env_fs_open(fs, path(name), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, &text);
    assert_string_equal(text.text, "");
    return file;
}

static void modes_are_private(void **state)
{
    (void)state;
    struct stat st;
    env_file_unref(create("private"));
    assert_int_equal(stat(path("private"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(env_fs_mkdir(fs, path("inner"), NULL), ERR_NONE);
    assert_int_equal(stat(path("inner"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void errors_name_path_and_cause(void **state)
{
    (void)state;
    struct env_file *file = NULL;
    struct err_text text;
    char words[300];
    assert_int_equal(env_fs_open(fs, path("none"), ENV_OPEN_READ, &file, &text), ERR_NOT_FOUND);
    snprintf(words, sizeof words, "open %s/none: No such file or directory", dir);
    assert_string_equal(text.text, words);
    assert_int_equal(env_fs_mkdir(fs, dir, &text), ERR_EXISTS);
    env_file_unref(create("there"));
    int flags = ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_EXCLUSIVE;
    assert_int_equal(env_fs_open(fs, path("there"), flags, &file, &text), ERR_EXISTS);
    assert_int_equal(env_fs_list(fs, path("there"), NULL, NULL, &text), ERR_NOT_FOUND);
}

static void a_full_device_is_told(void **state)
{
    (void)state;
    struct env_file *file = NULL;
    struct err_text text;
    assert_int_equal(env_fs_open(fs, "/dev/full", ENV_OPEN_WRITE, &file, &text), ERR_NONE);
    struct env_iov iov = {(const uint8_t *)"abc", 3};
    assert_int_equal(env_fs_write(fs, file, &iov, 1, 0, &text), ERR_NO_SPACE);
    assert_string_equal(text.text, "write /dev/full: No space left on device");
    env_file_unref(file);
}

static void many_pieces_go_out_in_order(void **state)
{
    (void)state;
    enum { PIECES = 200 };
    struct env_file *file = create("pieces");
    struct env_iov iov[PIECES];
    uint8_t bytes[PIECES];
    size_t total = 0;
    for (int i = 0; i < PIECES; i++) {
        bytes[i] = (uint8_t)i;
        iov[i] = (struct env_iov){&bytes[i], i % 3 == 0 ? 0 : 1};
        total += iov[i].size;
    }
    assert_int_equal(env_fs_write(fs, file, iov, PIECES, 1000, NULL), ERR_NONE);
    uint8_t back[1000 + PIECES + 1];
    size_t got = 0;
    assert_int_equal(env_fs_read(fs, file, back, sizeof back, 0, &got, NULL), ERR_NONE);
    assert_int_equal(got, 1000 + total);
    size_t at = 1000;
    for (int i = 0; i < PIECES; i++) {
        if (i % 3 != 0) {
            assert_int_equal(back[at++], i);
        }
    }
    env_file_unref(file);
}

static void short_and_interrupted_calls_go_on(void **state)
{
    (void)state;
    enum { HALF = 5000 };
    uint8_t bytes[2 * HALF];
    uint8_t back[2 * HALF];
    for (int i = 0; i < 2 * HALF; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    }
    struct env_file *file = create("slow");
    struct env_iov iov[] = {{bytes, HALF}, {bytes + HALF, HALF}};
    size_t got = 0;
    most_per_call = 777;
    enum err written = env_fs_write(fs, file, iov, 2, 3, NULL);
    enum err read = env_fs_read(fs, file, back, sizeof back, 3, &got, NULL);
    most_per_call = SIZE_MAX;
    assert_int_equal(written, ERR_NONE);
    assert_int_equal(read, ERR_NONE);
    assert_int_equal(got, sizeof back);
    assert_memory_equal(back, bytes, sizeof back);
    env_file_unref(file);
}

/* A file size limit makes the kernel write part of what was asked, then fail. */
static void a_short_write_goes_on_and_then_fails(void **state)
{
    (void)state;
    struct rlimit before;
    struct err_text text = {""};
    uint8_t *big = mem_zalloc(100000);
    getrlimit(RLIMIT_FSIZE, &before);
    struct rlimit small = {.rlim_cur = 60000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    struct env_file *file = create("short");
    struct env_iov iov[] = {{big, 50000}, {big, 50000}};
    enum err e = env_fs_write(fs, file, iov, 2, 0, &text);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(e, ERR_IO);
    assert_non_null(strstr(text.text, "File too large"));
    int64_t size = 0;
    assert_int_equal(env_fs_size(fs, file, &size, NULL), ERR_NONE);
    assert_int_equal(size, 60000);
    env_file_unref(file);
    mem_free(big);
}

static void a_lock_excludes_other_processes_and_goes_with_the_file(void **state)
{
    (void)state;
    struct err_text text = {""};
    struct env_file *file = create(".lock");
    assert_int_equal(env_fs_lock(fs, file, &text), ERR_NONE);
    struct env_file *again = create(".lock");
    assert_int_equal(env_fs_lock(fs, again, &text), ERR_IN_USE);
    assert_non_null(strstr(text.text, "another process holds it"));
    pid_t child = fork();
    if (child == 0) {
        /* As the JVM does it. */
        int fd = open(path(".lock"), O_RDWR);
        struct flock whole = {.l_type = F_WRLCK};
        _exit(fcntl(fd, F_SETLK, &whole) == 0 ? 1 : 0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    env_file_unref(file);
    assert_int_equal(env_fs_lock(fs, again, &text), ERR_NONE);
    env_file_unref(again);
}

static void collect(void *ctx, const char *name, bool is_dir)
{
    bytes_printf(ctx, "%s%s ", name, is_dir ? "/" : "");
}

static void a_list_is_sorted_by_bytes(void **state)
{
    (void)state;
    assert_int_equal(env_fs_mkdir(fs, path("list"), NULL), ERR_NONE);
    static const char *const names[] = {"list/b", "list/a-1", "list/a", "list/Z", "list/\xc3\xa4"};
    for (int i = 0; i < 5; i++) {
        env_file_unref(create(names[i]));
    }
    assert_int_equal(env_fs_mkdir(fs, path("list/a-0"), NULL), ERR_NONE);
    struct bytes seen = {0};
    assert_int_equal(env_fs_list(fs, path("list"), collect, &seen, NULL), ERR_NONE);
    assert_string_equal((const char *)seen.data, "Z a a-0/ a-1 b \xc3\xa4 ");
    bytes_free(&seen);
}

static void whole_files_are_replaced(void **state)
{
    (void)state;
    struct bytes back = {0};
    assert_int_equal(env_fs_replace(fs, path("whole"), "first", 5, NULL), ERR_NONE);
    assert_int_equal(env_fs_replace(fs, path("whole"), "second", 6, NULL), ERR_NONE);
    assert_int_equal(env_fs_slurp(fs, path("whole"), 100, &back, NULL), ERR_NONE);
    assert_int_equal(back.size, 6);
    assert_memory_equal(back.data, "second", 6);
    bytes_free(&back);
    assert_int_equal(env_fs_slurp(fs, path("whole"), 5, &back, NULL), ERR_TOO_LARGE);
    int64_t free_bytes = 0;
    int64_t total_bytes = 0;
    assert_int_equal(env_fs_space(fs, dir, &free_bytes, &total_bytes, NULL), ERR_NONE);
    assert_true(free_bytes > 0 && free_bytes <= total_bytes);
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Freeing a deleted file's blocks is a worker's; the loop's end waits for it. A file that keeps its
 * name is closed at once, and no thread starts for it. */
static void a_deleted_file_is_closed_by_a_worker(void **state)
{
    (void)state;
    struct err_text text;
    struct os *own = os_open(NULL, &text);
    int before = open_descriptors();
    assert_int_equal(env_fs_replace(os_fs(own), path("kept"), "x", 1, &text), ERR_NONE);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(worker_threads(), 0);
    struct env_file *file = NULL;
    assert_int_equal(
        env_fs_open(os_fs(own), path("gone"), ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file, &text),
        ERR_NONE);
    assert_int_equal(open_descriptors(), before + 1);
    assert_int_equal(env_fs_unlink(os_fs(own), path("gone"), &text), ERR_NONE);
    env_file_unref(file);
    assert_int_equal(worker_threads(), 1);
    os_stop(own, 3);
    assert_int_equal(os_run(own), 3);
    assert_int_equal(open_descriptors(), before);
    os_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_are_private),
        cmocka_unit_test(errors_name_path_and_cause),
        cmocka_unit_test(a_full_device_is_told),
        cmocka_unit_test(many_pieces_go_out_in_order),
        cmocka_unit_test(short_and_interrupted_calls_go_on),
        cmocka_unit_test(a_short_write_goes_on_and_then_fails),
        cmocka_unit_test(a_lock_excludes_other_processes_and_goes_with_the_file),
        cmocka_unit_test(a_list_is_sorted_by_bytes),
        cmocka_unit_test(whole_files_are_replaced),
        cmocka_unit_test(a_deleted_file_is_closed_by_a_worker),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
