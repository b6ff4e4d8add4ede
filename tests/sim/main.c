/* sim: runs universes, one per seed, and says which of them broke a promise. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/universe.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

struct arguments {
    uint64_t seed;
    uint64_t count;
    uint64_t max_events;
    uint64_t servers;
    bool quorum;
    bool verbose;
    bool twice;
    bool stop;
};

static char running[64];

/* A broken ASSERT or a sanitizer's finding ends the process: say which seed it was. */
static void say_seed(void)
{
    ssize_t written = write(STDERR_FILENO, running, strlen(running));
    (void)written;
}

static void on_abort(int signum)
{
    (void)signum;
    say_seed();
}

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    puts(line);
}

static int usage(void)
{
    fputs("usage: sim [--seed N] [--count M] [--verbose] [--events K] [--twice] [--stop]\n"
          "           [--servers 1|3|4|5|6] [--quorum]\n"
          "  --seed N     the first seed (1)\n"
          "  --count M    how many (1)\n"
          "  --verbose    every event, on standard output\n"
          "  --events K   ends each universe after K events, unjudged: to look at what led to a "
          "failure\n"
          "  --twice      runs every seed twice and compares\n"
          "  --servers N  instead of what the seed draws: 1, 3 or 5 brokers, which are voters too, "
          "or three\n"
          "               brokers with one (4) or three (6) controllers apart\n"
          "  --quorum     controllers only, three or five, each leader struck soon after it was "
          "elected\n"
          "  --stop       ends after the first seed that fails\n",
          stderr);
    return 2;
}

static bool parse_number(const char *text, uint64_t *out)
{
    char *end = NULL;
    *out = text != NULL ? strtoull(text, &end, 10) : 0;
    return text != NULL && end != text && *end == '\0';
}

static bool parse(int argc, char **argv, struct arguments *a)
{
    *a = (struct arguments){.seed = 1, .count = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        uint64_t *number = NULL;
        if (strcmp(argv[i], "--verbose") == 0) {
            a->verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--quorum") == 0) {
            a->quorum = true;
            continue;
        }
        if (strcmp(argv[i], "--twice") == 0) {
            a->twice = true;
            continue;
        }
        if (strcmp(argv[i], "--stop") == 0) {
            a->stop = true;
            continue;
        }
        number = strcmp(argv[i], "--seed") == 0      ? &a->seed
                 : strcmp(argv[i], "--count") == 0   ? &a->count
                 : strcmp(argv[i], "--events") == 0  ? &a->max_events
                 : strcmp(argv[i], "--servers") == 0 ? &a->servers
                                                     : NULL;
        if (number == NULL || !parse_number(value, number)) {
            return false;
        }
        i++;
    }
    bool alone = a->servers == 1 || a->servers == 4;
    return a->servers <= 6 && a->servers != 2 && !(a->quorum && alone);
}

static void print_summary(const struct tally *t, uint64_t failures)
{
    static const char *const names[] = {
#define X(name, text) text,
        FAULT_TABLE(X)
#undef X
    };
    printf(
        "%llu seeds, %llu failed; %llu of clusters, %llu elections, %llu partition leaders, "
        "%llu metadata snapshots, %llu logs begun at another's, "
        "%llu answers about preferred ones, %llu reassignments; "
        "%llu events, %llu server starts, %llu records acknowledged, %llu reads, %llu audits, "
        "%llu commits, %llu rebalances, %llu topics; faults:",
        (unsigned long long)t->seeds, (unsigned long long)failures, (unsigned long long)t->clusters,
        (unsigned long long)t->elections, (unsigned long long)t->leader_changes,
        (unsigned long long)t->snapshots, (unsigned long long)t->skips,
        (unsigned long long)t->preferred, (unsigned long long)t->moves,
        (unsigned long long)t->events, (unsigned long long)t->starts, (unsigned long long)t->acked,
        (unsigned long long)t->reads, (unsigned long long)t->audits, (unsigned long long)t->commits,
        (unsigned long long)t->rebalances, (unsigned long long)t->topics);
    for (int i = 0; i < FAULTS; i++) {
        printf(" %s %llu", names[i], (unsigned long long)t->faults[i]);
    }
    putchar('\n');
}

/* False when a promise was broken, or two runs of the seed differ. */
static bool run_seed(const struct arguments *a, uint64_t seed, struct tally *tally)
{
    struct universe_result result;
    struct universe_options options = {
        .seed = seed, .max_events = a->max_events, .servers = a->servers, .quorum = a->quorum};
    options.sink = a->verbose ? print_line : NULL;
    snprintf(running, sizeof running, "sim: seed %llu broke off\n", (unsigned long long)seed);
    universe_run(&options, tally, &result);
    if (result.failed) {
        printf("seed %llu FAILED %s\n", (unsigned long long)seed, result.why);
    }
    if (a->twice) {
        struct universe_result again;
        void *shift = malloc(100000 + seed % 1000); /* addresses must make no difference */
        universe_run(&options, tally, &again);
        free(shift);
        if (again.hash != result.hash || again.events != result.events) {
            printf("seed %llu FAILED two runs differ: %llu events and hash %016llx, %llu events "
                   "and hash %016llx\n",
                   (unsigned long long)seed, (unsigned long long)result.events,
                   (unsigned long long)result.hash, (unsigned long long)again.events,
                   (unsigned long long)again.hash);
            return false;
        }
    }
    if (a->count == 1) {
        printf("seed %llu: %llu events, hash %016llx\n", (unsigned long long)seed,
               (unsigned long long)result.events, (unsigned long long)result.hash);
    }
    fflush(stdout);
    return !result.failed;
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct tally tally = {0};
    uint64_t failures = 0;
    if (!parse(argc, argv, &a)) {
        return usage();
    }
    signal(SIGABRT, on_abort);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(say_seed);
#endif
    for (uint64_t i = 0; i < a.count && !(a.stop && failures > 0); i++) {
        failures += !run_seed(&a, a.seed + i, &tally);
    }
    running[0] = '\0';
    print_summary(&tally, failures);
    return failures > 0 ? 1 : 0;
}
