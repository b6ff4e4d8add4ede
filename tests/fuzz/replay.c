/* Gives every file named, or in a directory named, to the fuzz target this is linked with. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Number of inputs run; -1 when one cannot be read. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        perror(path);
        if (file != NULL) {
            fclose(file);
        }
        return -1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = mem_alloc(size + 1);
    size_t got = fread(data, 1, size, file);
    fclose(file);
    /* From memory of exactly that size, so that a byte read beyond it is seen. */
    uint8_t *exact = mem_dup(data, got > 0 ? got : 1);
    mem_free(data);
    if (got == size) {
        LLVMFuzzerTestOneInput(exact, size);
    }
    mem_free(exact);
    return got == size ? 1 : -1;
}

static int replay_path(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return replay_file(path);
    }
    int ran = 0;
    for (struct dirent *entry = readdir(dir); entry != NULL && ran >= 0; entry = readdir(dir)) {
        char name[4096];
        if (entry->d_name[0] == '.') {
            continue;
        }
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        ran = replay_file(name) < 0 ? -1 : ran + 1;
    }
    closedir(dir);
    return ran;
}

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 1; i < argc; i++) {
        int more = replay_path(argv[i]);
        if (more < 0) {
            return 1;
        }
        ran += more;
    }
    if (ran == 0) {
        fprintf(stderr, "%s: no inputs: name files or directories of inputs\n", argv[0]);
        return 1;
    }
    printf("%s: %d inputs\n", argv[0], ran);
    return 0;
}
