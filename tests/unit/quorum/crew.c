#include "tests/unit/quorum/crew.h"

#include <stdlib.h>

#include "tests/unit/quorum/crew_net.h"
#include "tests/unit/quorum/crew_snapshot.h"

static const char *const hosts[CREW_MAX] = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4",
                                            "10.0.0.5", "10.0.0.6", "10.0.0.7"};

/* ---- news ---- */

static void on_failed(void *ctx, enum err error, const struct err_text *text)
{
    struct mate *mate = ctx;
    if (!mate->may_fail) {
        fail_msg("node %d failed (%d): %s", mate->id, (int)error, text->text);
    }
    mate->broken = true;
    snprintf(mate->failure, sizeof mate->failure, "%s", text->text);
}

static void on_opened(void *ctx, enum err error, const struct err_text *text)
{
    struct mate *mate = ctx;
    if (error != ERR_NONE) {
        on_failed(ctx, error, text);
    }
    mate->opened = true;
}

static void remember_leader_change(struct crew *crew, const uint8_t *batch, int32_t length)
{
    struct wire_in in = wire_in_of(batch, (size_t)length + 12);
    wire_get_raw(&in, 21);
    if ((wire_get_i16(&in) & (1 << 5)) == 0) {
        return;
    }
    wire_get_raw(&in, 4 + 8 + 8 + 8 + 2 + 4 + 4);
    wire_get_varint(&in);
    wire_get_i8(&in);
    wire_get_varint(&in);
    wire_get_varint(&in);
    wire_get_raw(&in, (size_t)wire_get_varint(&in));
    wire_get_varint(&in);
    struct leader_change_message message;
    struct arena arena = {0};
    assert_int_equal(wire_decode(&wire_leader_change_message, 0, &in, &message, &arena), ERR_NONE);
    assert_int_equal(message.voters.count, crew->voters);
    assert_true(2 * message.granting_voters.count > crew->voters);
    arena_free(&arena);
}

/* The committed log as anybody ever saw it. */
static void remember(struct mate *mate, struct crew_batch batch)
{
    struct crew *crew = mate->crew;
    if (batch.base_offset == crew->committed_end) {
        assert_true(crew->committed_count < CREW_BATCHES_MAX);
        crew->committed[crew->committed_count++] = batch;
        crew->committed_end = batch.last_offset + 1;
        return;
    }
    assert_true(batch.base_offset < crew->committed_end);
    size_t low = 0;
    size_t high = crew->committed_count;
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (crew->committed[mid].base_offset <= batch.base_offset) {
            low = mid;
        } else {
            high = mid;
        }
    }
    const struct crew_batch *known = &crew->committed[low];
    if (known->base_offset != batch.base_offset || known->last_offset != batch.last_offset ||
        known->crc != batch.crc) {
        fail_msg("node %d delivered another batch at offset %lld than was committed", mate->id,
                 (long long)batch.base_offset);
    }
}

static void on_committed(void *ctx, const struct quorum_committed *committed)
{
    struct mate *mate = ctx;
    const uint8_t *at = committed->batches;
    const uint8_t *end = at + committed->size_bytes;
    assert_true(committed->last_offset < quorum_high_watermark(mate->quorum));
    while (at < end) {
        struct wire_in in = wire_in_of(at, (size_t)(end - at));
        struct crew_batch batch = {.base_offset = wire_get_i64(&in)};
        int32_t length = wire_get_i32(&in);
        wire_get_raw(&in, 5);
        batch.crc = wire_get_u32(&in);
        wire_get_i16(&in);
        batch.last_offset = batch.base_offset + wire_get_i32(&in);
        assert_int_equal(in.error, ERR_NONE);
        assert_int_equal(batch.base_offset, mate->expected_offset);
        mate->expected_offset = batch.last_offset + 1;
        remember(mate, batch);
        remember_leader_change(mate->crew, at, length);
        at += 12 + length;
    }
    assert_int_equal(mate->expected_offset, committed->last_offset + 1);
}

static void on_leader_changed(void *ctx, int32_t leader_id, int32_t epoch)
{
    (void)ctx;
    assert_true(leader_id >= -1 && epoch >= 0);
}

static void append_one(struct mate *mate)
{
    struct crew *crew = mate->crew;
    char value[64];
    int size = snprintf(value, sizeof value, "%u from %d in %d", ++crew->appended, mate->id,
                        mate->active_epoch);
    struct quorum_record records[3] = {{value, (size_t)size}, {value, 1}, {value, (size_t)size}};
    size_t count = 1 + rng_below(sim_rng(crew->sim), 3);
    int64_t last = -1;
    struct err_text text;
    enum err error = quorum_append(mate->quorum, mate->active_epoch, records, count, &last, &text);
    assert_true(error == ERR_NONE || error == ERR_STALE);
}

static void load_due(struct env_timer *timer)
{
    struct mate *mate = CONTAINER_OF(timer, struct mate, load);
    if (mate->active_epoch < 0 || mate->closing || !mate->crew->load) {
        return;
    }
    append_one(mate);
    env_timer_set(mate->env, timer,
                  env_now_ms(mate->env) + 5 + (int64_t)rng_below(sim_rng(mate->crew->sim), 120));
}

static void on_activated(void *ctx, int32_t epoch)
{
    struct mate *mate = ctx;
    assert_int_equal(mate->active_epoch, -1);
    mate->active_epoch = epoch;
    mate->load.fire = load_due;
    env_timer_set(mate->env, &mate->load, env_now_ms(mate->env));
}

static void on_deactivated(void *ctx, int32_t epoch)
{
    struct mate *mate = ctx;
    assert_int_equal(epoch, mate->active_epoch);
    mate->active_epoch = -1;
}

static const struct quorum_events events = {
    on_opened,      on_committed, on_leader_changed,  on_activated,
    on_deactivated, on_failed,    mate_take_snapshot, mate_give_snapshot};

/* ---- a life ---- */

static void start_quorum(struct mate *mate)
{
    struct crew *crew = mate->crew;
    struct quorum_config config = {.node_id = mate->id,
                                   .directory_id = *log_dir_id(mate->dir),
                                   .cluster_id = "crew",
                                   .listener = "CONTROLLER",
                                   .voter_count = crew->voters,
                                   .election_timeout_ms = 1000,
                                   .fetch_timeout_ms = 2000,
                                   .election_backoff_max_ms = 1000,
                                   .replay_chunk_bytes = 2000,
                                   .snapshot_bytes = crew->snapshot_bytes,
                                   .snapshot_interval_ms = crew->snapshot_interval_ms,
                                   .retention_bytes = crew->retention_bytes,
                                   .retention_ms = crew->retention_ms,
                                   .segment_bytes = crew->segment_bytes,
                                   .fetch_snapshot_bytes = crew->piece_bytes};
    for (int i = 0; i < crew->voters; i++) {
        config.voters[i].id = i + 1;
        config.voters[i].port = CREW_PORT;
        snprintf(config.voters[i].host, sizeof config.voters[i].host, "%s", hosts[i]);
    }
    mate->peers = node_peers_new(mate->env, config.voters, config.voter_count);
    config.peers = node_peers_sender(mate->peers);
    mate->quorum = quorum_open(mate->env, mate->dir, &config, &events, mate);
    node_peers_attach(mate->peers, mate->quorum);
    mate_listen(mate);
}

static void on_formatted(void *ctx, enum err error, const struct err_text *text)
{
    assert_int_equal(error, ERR_NONE);
    assert_non_null(text);
    start_quorum(ctx);
}

static void on_dir(void *ctx, struct log_dir *dir, const struct log_dir_found *found)
{
    struct mate *mate = ctx;
    if (found->error != ERR_NONE) {
        fail_msg("%s", found->text.text);
    }
    if (found->formatted) {
        start_quorum(mate);
        return;
    }
    struct log_dir_meta meta = {.cluster_id = "crew", .node_id = mate->id};
    meta.directory_id = env_random_uuid(mate->env);
    log_dir_format(dir, &meta, on_formatted, mate);
}

void mate_start(struct mate *mate)
{
    assert_false(mate->up);
    if (mate->life > 0 && !sim_node_up(mate->node)) {
        sim_node_restart(mate->node);
    }
    mate->life++;
    mate->up = true;
    mate->opened = mate->closing = false;
    mate->active_epoch = -1;
    mate->expected_offset = 0;
    mate->high_watermark = -1;
    mate->load = (struct env_timer){0};
    list_init(&mate->conns);
    mate->env = sim_node_env(mate->node);
    mate->dir = log_dir_open(mate->env, "/data/meta", on_dir, mate);
}

static void drop(struct mate *mate, bool crashed)
{
    mate_hang_up(mate, crashed);
    node_peers_free(mate->peers);
    quorum_free(mate->quorum);
    log_dir_free(mate->dir);
    mate->peers = NULL;
    mate->quorum = NULL;
    mate->dir = NULL;
    mate->up = false;
}

void mate_crash(struct mate *mate, enum sim_crash how)
{
    assert_true(mate->up);
    sim_node_crash(mate->node, how);
    drop(mate, true);
}

static void crashed_at_op(void *ctx, struct sim_node *node)
{
    (void)node;
    drop(ctx, true);
}

void mate_crash_at_op(struct mate *mate, uint64_t k, enum sim_crash how)
{
    assert_true(mate->up);
    sim_node_crash_at_op(mate->node, k, how, crashed_at_op, mate);
}

void mate_wipe(struct mate *mate)
{
    assert_false(mate->up);
    sim_disk_remove(mate->node, "/data/meta");
}

static void on_dir_closed(void *ctx, enum err error, const struct err_text *text)
{
    assert_int_equal(error, ERR_NONE);
    assert_non_null(text);
    ((struct mate *)ctx)->opened = false;
}

static void on_quorum_closed(void *ctx)
{
    struct mate *mate = ctx;
    log_dir_close(mate->dir, -1, on_dir_closed, mate);
}

static bool none_open(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++) {
        if (crew->mates[i].closing && crew->mates[i].opened) {
            return false;
        }
    }
    return true;
}

void mate_close(struct mate *mate)
{
    assert_true(mate->up && mate->opened);
    mate->closing = true;
    quorum_close(mate->quorum, on_quorum_closed, mate);
    assert_true(crew_run(mate->crew, none_open, 60000));
    drop(mate, false);
    sim_node_crash(mate->node, SIM_KILL);
}

static void trace_to_stderr(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

void crew_build(struct crew *crew, uint64_t seed, int voters, int observers)
{
    memset(crew, 0, sizeof *crew);
    assert_true(voters + observers <= CREW_MAX);
    struct sim_options options = {.seed = seed};
    if (getenv("CREW_TRACE") != NULL) {
        options.sink = trace_to_stderr;
    }
    crew->sim = sim_new(&options);
    sim_net_timeouts(crew->sim, 8000, 3000);
    crew->voters = voters;
    crew->retention_bytes = crew->retention_ms = -1;
    crew->count = voters + observers;
    for (int i = 0; i < crew->count; i++) {
        struct mate *mate = &crew->mates[i];
        char name[16];
        snprintf(name, sizeof name, "n%d", i + 1);
        mate->crew = crew;
        mate->id = i + 1;
        mate->node = sim_node_new(crew->sim, name, hosts[i]);
    }
    crew_heal(crew);
}

void crew_raze(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++) {
        if (crew->mates[i].up) {
            mate_crash(&crew->mates[i], SIM_KILL);
        }
    }
    sim_free(crew->sim);
}

/* ---- checking ---- */

static void check_mate(struct crew *crew, struct mate *mate)
{
    if (!mate->up || mate->quorum == NULL || mate->closing) {
        return;
    }
    int64_t high_watermark = quorum_high_watermark(mate->quorum);
    assert_true(high_watermark >= mate->high_watermark);
    mate->high_watermark = high_watermark;
    if (quorum_log(mate->quorum) != NULL) {
        assert_true(log_assigned_end(quorum_log(mate->quorum)) >= high_watermark);
    }
    if (quorum_role(mate->quorum) != QUORUM_LEADER) {
        return;
    }
    int32_t epoch = quorum_epoch(mate->quorum);
    int32_t who = mate->id + 100 * mate->life;
    assert_true(epoch > 0 && epoch < CREW_EPOCHS_MAX);
    if (crew->leader_of[epoch] == 0) {
        crew->leader_of[epoch] = who;
        crew->elections++;
    } else if (crew->leader_of[epoch] != who) {
        fail_msg("epoch %d has two leaders: %d and %d", epoch, crew->leader_of[epoch], who);
    }
}

struct watch {
    struct crew *crew;
    bool (*reached)(struct crew *crew);
};

static bool watch(void *ctx)
{
    const struct watch *w = ctx;
    for (int i = 0; i < w->crew->count; i++) {
        check_mate(w->crew, &w->crew->mates[i]);
    }
    return w->reached != NULL && w->reached(w->crew);
}

bool crew_run(struct crew *crew, bool (*reached)(struct crew *crew), int64_t for_ms)
{
    struct watch w = {crew, reached};
    return sim_run_until(crew->sim, watch, &w, for_ms, 0);
}

struct mate *crew_leader(struct crew *crew)
{
    struct mate *best = NULL;
    for (int i = 0; i < crew->count; i++) {
        struct mate *mate = &crew->mates[i];
        if (mate->up && mate->active_epoch >= 0 &&
            (best == NULL || mate->active_epoch > best->active_epoch)) {
            best = mate;
        }
    }
    return best;
}

bool crew_has_leader(struct crew *crew)
{
    return crew_leader(crew) != NULL;
}

bool crew_append(struct crew *crew, int64_t *offset)
{
    struct mate *leader = crew_leader(crew);
    if (leader == NULL) {
        return false;
    }
    append_one(leader);
    *offset = quorum_next_offset(leader->quorum) - 1;
    return true;
}

int64_t mate_append_big(struct mate *mate, size_t size_bytes)
{
    uint8_t *data = mem_zalloc(size_bytes);
    struct quorum_record record = {data, size_bytes};
    int64_t last = -1;
    struct err_text text;
    assert_int_equal(
        quorum_append(mate->quorum, quorum_epoch(mate->quorum), &record, 1, &last, &text),
        ERR_NONE);
    mem_free(data);
    return last;
}

bool crew_is_level(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++) {
        const struct mate *mate = &crew->mates[i];
        if (mate->up && (mate->quorum == NULL || mate->expected_offset < crew->committed_end)) {
            return false;
        }
    }
    return crew_leader(crew) != NULL;
}

bool crew_proven(const struct crew *crew)
{
    for (int i = 0; i < crew->voters; i++) {
        if (!sim_disk_exists(crew->mates[i].node, "/data/meta/__cluster_metadata-0/quorum-state")) {
            return false;
        }
    }
    return true;
}

void crew_heal(struct crew *crew)
{
    for (int i = 0; i < crew->count; i++) {
        for (int j = 0; j < crew->count; j++) {
            if (i != j) {
                sim_path_set(crew->mates[i].node, crew->mates[j].node,
                             (struct sim_path){.delay_min_us = 100, .delay_max_us = 2000});
            }
        }
    }
}

static int64_t wanted_end;

static bool reached_end(struct crew *crew)
{
    return crew->committed_end >= wanted_end && crew_is_level(crew);
}

void crew_progress(struct crew *crew, int64_t for_ms)
{
    int64_t until_us = sim_now_us(crew->sim) + for_ms * 1000;
    while (sim_now_us(crew->sim) < until_us) {
        if (crew_run(crew, crew_has_leader, (until_us - sim_now_us(crew->sim)) / 1000 + 1) &&
            crew_append(crew, &wanted_end)) {
            wanted_end++;
            if (crew_run(crew, reached_end, 5000)) {
                return;
            }
        }
    }
    for (int i = 0; i < crew->count; i++) {
        const struct mate *mate = &crew->mates[i];
        print_message("node %d: up %d role %s epoch %d leader %d hw %lld delivered %lld\n",
                      mate->id, mate->up,
                      mate->quorum ? quorum_role_name(quorum_role(mate->quorum)) : "-",
                      mate->quorum ? quorum_epoch(mate->quorum) : -1,
                      mate->quorum ? quorum_leader(mate->quorum) : -1,
                      (long long)mate->high_watermark, (long long)mate->expected_offset);
    }
    fail_msg("no progress in %lld ms after everything was healed", (long long)for_ms);
}
