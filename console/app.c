/* The console live.
 *
 * Everything happens on one loop: keys, signals, answers, a clock. Drawing is done once per turn of
 * the loop at most, after whatever happened (on_prepare), and left out while the terminal is
 * behind. Failure modes: the terminal goes away (poll error, read error, SIGHUP): leave at once,
 * status 1; SIGTERM, SIGINT: leave, terminal restored; a cluster that does not answer: keys work
 * all the same. */
#include "console/app.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "common/base/assert.h"
#include "console/asker.h"
#include "console/order.h"
#include "console/poll.h"
#include "console/screen.h"
#include "console/ui.h"

enum { CLOCK_MS = 1000, BEHIND_MS = 250, SIGNAL_COUNT = 5 };

struct app {
    uv_loop_t loop;
    uv_poll_t keys;
    uv_timer_t clock;
    uv_timer_t retry; /* draws again when the terminal was behind */
    uv_prepare_t prepare;
    uv_signal_t signals[SIGNAL_COUNT];
    struct screen *screen;
    struct poll *poll;
    struct ui ui;
    struct asker *ask;  /* of the action. A broker answers a connection's requests in order: what
                           takes long must not make the samples old */
    struct order order; /* what is under way */
    bool dirty;
    bool leaving;
    int status;
};

static int64_t wall_ms(void)
{
    uv_timeval64_t now;
    return uv_gettimeofday(&now) == 0 ? now.tv_sec * 1000 + now.tv_usec / 1000 : 0;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void leave(struct app *app, int status)
{
    if (app->leaving) {
        return;
    }
    app->leaving = true;
    app->status = status;
    uv_stop(&app->loop);
}

static void follow_ui(struct app *app);

/* ---- what the cluster is asked ------------------------------------------------------------------
 */

static void tell_want(struct app *app)
{
    const struct view *v = ui_view(&app->ui);
    struct poll_want want = {.parts = v->ops->parts | 1u << MODEL_CLUSTER};
    size_t first = 0;
    size_t last = ui_visible(&app->ui, screen_rows(app->screen), &first);
    for (size_t i = first; i < last; i++) {
        const struct row_id *id = &v->table.rows[v->table.shown[i]].id;
        if (v->ops->row_partitions) {
            poll_want_add_partition(&want, id->name, (int32_t)id->number);
        } else if (v->ops->row_groups) {
            poll_want_add_group(&want, id->name);
        }
    }
    if (v->scope.group != NULL) {
        poll_want_add_group(&want, v->scope.group);
    }
    poll_set_want(app->poll, &want);
}

static void on_answer(void *ctx, const struct action_answer *answer)
{
    struct app *app = ctx;
    app->ui.now_ms = wall_ms();
    ui_answered(&app->ui, answer);
    follow_ui(app);
}

static void follow_ui(struct app *app)
{
    app->dirty = true;
    tell_want(app);
    if (app->ui.action.state == ACTION_READY) {
        order_send(&app->order, app->ask, &app->ui.action, on_answer, app);
    }
    poll_set_interval(app->poll, app->ui.interval_ms);
    poll_set_paused(app->poll, app->ui.paused);
    if (app->ui.refresh) {
        app->ui.refresh = false;
        poll_now(app->poll);
    }
    if (app->ui.quit) {
        leave(app, 0);
    }
}

static void updated(void *ctx, const struct model *m)
{
    struct app *app = ctx;
    app->ui.now_ms = wall_ms();
    ui_show(&app->ui, m);
    follow_ui(app);
}

static void ended(void *ctx, const char *why)
{
    struct app *app = ctx;
    app->ui.now_ms = wall_ms();
    ui_set_trouble(&app->ui, why);
    follow_ui(app);
}

/* ---- the terminal -------------------------------------------------------------------------------
 */

static void on_keys(uv_poll_t *handle, int status, int events)
{
    struct app *app = handle->data;
    (void)events;
    if (status < 0) {
        leave(app, 1);
        return;
    }
    for (;;) {
        int key = 0;
        enum screen_input got = screen_next_key(app->screen, &key);
        if (got == SCREEN_GONE) {
            leave(app, 1);
            return;
        }
        if (got == SCREEN_EMPTY) {
            break;
        }
        app->ui.now_ms = wall_ms();
        ui_key(&app->ui, key, screen_rows(app->screen));
    }
    follow_ui(app);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct app *app = handle->data;
    switch (number) {
    case SIGWINCH:
        screen_resized(app->screen);
        app->dirty = true;
        break;
    case SIGCONT:
        app->ui.repaint = true;
        app->dirty = true;
        break;
    case SIGINT:
        app->ui.now_ms = wall_ms();
        ui_key(&app->ui, KEY_CTRL('c'), screen_rows(app->screen));
        follow_ui(app);
        break;
    case SIGHUP:
        leave(app, 1);
        break;
    default:
        leave(app, 128 + number);
        break;
    }
}

static void on_clock(uv_timer_t *timer)
{
    struct app *app = timer->data;
    app->dirty = true; /* the age of the data */
}

static void on_prepare(uv_prepare_t *handle)
{
    struct app *app = handle->data;
    if (!app->dirty || app->leaving) {
        return;
    }
    if (screen_is_behind(app->screen)) {
        uv_timer_start(&app->retry, on_clock, BEHIND_MS, 0);
        return;
    }
    app->dirty = false;
    ui_draw(&app->ui, app->screen, wall_ms());
}

static void start_handles(struct app *app)
{
    static const int numbers[SIGNAL_COUNT] = {SIGWINCH, SIGCONT, SIGINT, SIGHUP, SIGTERM};
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        uv_signal_init(&app->loop, &app->signals[i]);
        app->signals[i].data = app;
        uv_signal_start(&app->signals[i], on_signal, numbers[i]);
    }
    uv_timer_init(&app->loop, &app->clock);
    uv_timer_init(&app->loop, &app->retry);
    uv_prepare_init(&app->loop, &app->prepare);
    uv_poll_init(&app->loop, &app->keys, screen_fd(app->screen));
    app->clock.data = app;
    app->retry.data = app;
    app->prepare.data = app;
    app->keys.data = app;
    uv_timer_start(&app->clock, on_clock, CLOCK_MS, CLOCK_MS);
    uv_prepare_start(&app->prepare, on_prepare);
    uv_poll_start(&app->keys, UV_READABLE | UV_DISCONNECT, on_keys);
}

static enum theme_palette palette(void)
{
    const char *no_color = getenv("NO_COLOR");
    return no_color != NULL && no_color[0] != '\0' ? THEME_MONO : THEME_COLOR;
}

int app_run(const struct options *o)
{
    static const struct poll_events events = {updated, ended};
    struct app app;
    struct err_text notice;
    struct err_text text;
    memset(&app, 0, sizeof app);
    uv_loop_init(&app.loop);
    if (poll_new(&app.loop, o->bootstrap, POLL_STAGE_MS, POLL_REQUEST_MS, &events, &app, &app.poll,
                 &text)) {
        fprintf(stderr, "barnabas: %s\n", text.text);
        uv_loop_close(&app.loop);
        return 2;
    }
    enum err e = asker_new(&app.loop, o->bootstrap, &app.ask, &text);
    ASSERT(e == ERR_NONE); /* the addresses were read just now */
    if (screen_open(palette(), &app.screen, &notice, &text) != ERR_NONE) {
        fprintf(stderr, "barnabas: %s\n", text.text);
        app.status = 2;
    } else {
        ui_init(&app.ui, o->bootstrap, (int)o->interval_ms);
        ui_say(&app.ui, STYLE_WARNING, "%s", notice.text);
        start_handles(&app);
        follow_ui(&app);
        uv_run(&app.loop, UV_RUN_DEFAULT);
        ASSERT(app.leaving);
        uv_close((uv_handle_t *)&app.keys, NULL);
        uv_run(&app.loop, UV_RUN_NOWAIT);
        screen_close(app.screen);
        ui_free(&app.ui);
    }
    poll_free(app.poll);
    asker_free(app.ask);
    order_free(&app.order);
    uv_walk(&app.loop, close_handle, NULL);
    uv_run(&app.loop, UV_RUN_DEFAULT);
    uv_loop_close(&app.loop);
    return app.status;
}
