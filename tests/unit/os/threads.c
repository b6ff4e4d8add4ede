#include "tests/unit/os/threads.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

int worker_threads(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    while (tasks != NULL && (task = readdir(tasks)) != NULL) {
        char path[300];
        char name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *comm = fopen(path, "r");
        if (comm != NULL) {
            count += fgets(name, sizeof name, comm) != NULL && strncmp(name, "bnb-", 4) == 0;
            fclose(comm);
        }
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return count;
}
