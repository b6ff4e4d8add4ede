#include "console/once.h"

#include <string.h>
#include <uv.h>

#include "console/json.h"
#include "console/poll.h"
#include "console/text.h"

struct once {
    bool (*enough)(const struct model *m);
    uv_loop_t loop;
    uv_timer_t limit;
    struct poll *poll;
    const struct model *model; /* the newest */
    char why[512];             /* why the cluster did not answer, last heard */
};

static void print_view(const struct model *m, const struct view_target *to, FILE *out)
{
    char safe[TEXT_MAX];
    struct view *v = view_new(to);
    struct cell line = {.style = STYLE_NORMAL};
    view_show(v, m);
    for (int i = 0; v->ops->head != NULL && v->ops->head(v, i, &line); i++) {
        fprintf(out, "%s\n", text_safe(line.text, safe));
        line.text[0] = '\0';
    }
    table_print(&v->table, out);
    view_free(v);
}

static void print_errors(const struct model *m, unsigned parts, FILE *out)
{
    char safe[TEXT_MAX];
    for (int i = 0; i < MODEL_PART_COUNT; i++) {
        if ((parts >> i & 1) != 0 && m->parts[i].error != NULL) {
            fprintf(out, "barnabas: %s\n", text_safe(m->parts[i].error, safe));
        }
    }
}

void once_print(const struct model *m, enum view_id id, enum output_format format, FILE *to)
{
    char safe[TEXT_MAX];
    if (format == FORMAT_JSON) {
        json_print(m, id, to);
        return;
    }
    if (id == VIEW_OVERVIEW) {
        fprintf(to, "cluster  %s\n",
                m->cluster_id == NULL ? glyph(GLYPH_MISSING) : text_safe(m->cluster_id, safe));
    }
    print_view(m, &(struct view_target){.id = id, .broker = MODEL_NO_BROKER}, to);
    for (int i = 0; id == VIEW_GROUPS && i < m->group_count; i++) {
        struct view_target group = {
            .id = VIEW_GROUP, .group = m->groups[i].group, .broker = MODEL_NO_BROKER};
        fprintf(to, "\ngroup %s\n", text_safe(m->groups[i].group, safe));
        print_view(m, &group, to);
    }
}

static void updated(void *ctx, const struct model *m)
{
    struct once *o = ctx;
    model_unref(o->model);
    o->model = model_ref(m);
}

static void ended(void *ctx, const char *why)
{
    struct once *o = ctx;
    snprintf(o->why, sizeof o->why, "%s", why);
    if (why[0] == '\0' && o->model != NULL && (o->enough == NULL || o->enough(o->model))) {
        uv_stop(&o->loop);
    }
}

static void on_limit(uv_timer_t *timer)
{
    struct once *o = timer->data;
    uv_stop(&o->loop);
}

static void explain(const struct once *o, const struct options *options, char why[ONCE_WHY_BYTES])
{
    char none[600];
    char safe[TEXT_MAX];
    snprintf(none, sizeof none, "no broker at %s answers", options->bootstrap);
    snprintf(why, ONCE_WHY_BYTES, "gave up after %g s: %s", (double)options->timeout_ms / 1000.0,
             text_safe(o->why[0] == '\0' ? none : o->why, safe));
}

int once_ask(const struct options *options, unsigned parts, bool (*enough)(const struct model *m),
             const struct model **m, char why[ONCE_WHY_BYTES])
{
    static const struct poll_events events = {updated, ended};
    struct once o = {.enough = enough};
    struct err_text text;
    uv_loop_init(&o.loop);
    /* A quarter for each stage: what one broker owes must not cost us what the others told. */
    int64_t stage_ms = options->timeout_ms / 4;
    if (poll_new(&o.loop, options->bootstrap, stage_ms < POLL_STAGE_MS ? stage_ms : POLL_STAGE_MS,
                 options->timeout_ms, &events, &o, &o.poll, &text) != ERR_NONE) {
        fprintf(stderr, "barnabas: %s\n", text.text);
        uv_loop_close(&o.loop);
        return 2;
    }
    uv_timer_init(&o.loop, &o.limit);
    o.limit.data = &o;
    uv_timer_start(&o.limit, on_limit, (uint64_t)options->timeout_ms, 0);
    struct poll_want want = {.everything = true, .parts = parts};
    poll_set_interval(o.poll, POLL_MIN_GAP_MS);
    poll_set_want(o.poll, &want);
    uv_run(&o.loop, UV_RUN_DEFAULT);
    poll_free(o.poll);
    uv_close((uv_handle_t *)&o.limit, NULL);
    uv_run(&o.loop, UV_RUN_DEFAULT);
    uv_loop_close(&o.loop);
    explain(&o, options, why);
    *m = o.model;
    return 0;
}

int once_run(const struct options *options)
{
    const struct model *m = NULL;
    char why[ONCE_WHY_BYTES];
    unsigned parts = view_ops_of(options->view)->parts;
    int wrong = once_ask(options, parts, NULL, &m, why);
    if (wrong != 0) {
        return wrong;
    }
    if (m == NULL) {
        fprintf(stderr, "barnabas: %s\n", why);
        return 3;
    }
    print_errors(m, parts, stderr);
    once_print(m, options->view, options->format, stdout);
    model_unref(m);
    return fflush(stdout) == 0 ? 0 : 1;
}
