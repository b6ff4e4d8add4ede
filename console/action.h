/* action: the changes an operator makes from the console: elect preferred leaders,
 * move its replicas to other brokers, reset the offsets that a consumer group has committed.
 *
 * A state machine without terminal, loop or network: keys, snapshots and the cluster's answer in;
 * words to show, and at one point the order to send, out. Times are wall times, handed in.
 *
 * WHAT IS SAID IS WHAT IS DONE. The preview is frozen: newer snapshots do not change its words. On
 * `y` the cluster is read again; only if every word of the preview still holds is the request sent.
 * If not, nothing is sent and the new preview is shown. `y` counts only when the preview is on the
 * screen as a whole (action_drawn), so that keys typed ahead, or text pasted by mistake, cannot
 * agree to what nobody has read: of many rows the last one must have been on the screen too. No
 * other key agrees to anything.
 *
 * The cluster is told once. When it is not known whether it obeyed, that is said, and nothing is
 * repeated. */
#ifndef CONSOLE_ACTION_H
#define CONSOLE_ACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "console/model.h"
#include "console/text.h"
#include "console/theme.h"

enum {
    ACTION_TOPIC_BYTES = 250, /* Kafka's longest name is 249 */
    ACTION_GROUP_BYTES = 512,
    ACTION_MAX_LINES = 12,
    ACTION_MAX_OBJECTS = 6,
    ACTION_MAX_REPLICAS = 32,
    ACTION_WATCH_MS = 10000 /* for so long after the answer the new leader is looked for */
};

enum action_id { ACTION_ELECT, ACTION_ELECT_MANY, ACTION_MOVE, ACTION_RESET };

enum action_to { ACTION_TO_EARLIEST, ACTION_TO_LATEST, ACTION_TO_OFFSET, ACTION_TO_SHIFT };

/* What was asked for. */
struct action_wish {
    enum action_id id;
    char topic[ACTION_TOPIC_BYTES]; /* of a reset: "" = every topic with a commit */
    int32_t partition;              /* of a reset: -1 = every partition of the topic */
    int32_t broker; /* of many elections: the preferred leader; MODEL_NO_BROKER = whoever it is */
    char group[ACTION_GROUP_BYTES]; /* of a reset */
    enum action_to to;
    int64_t offset;                        /* to it, or by so much */
    int32_t replicas[ACTION_MAX_REPLICAS]; /* of a move, the preferred leader first */
    int replica_count;                     /* 0: the move under way is to be called off */
};

/* ERR_INVALID with text when a name is longer than Kafka allows. */
enum err action_wish_elect(struct action_wish *w, const char *topic, int32_t partition,
                           struct err_text *text);
/* Of the topic's partitions ("" = all), those whose first replica is `broker` (MODEL_NO_BROKER =
 * all). */
enum err action_wish_elect_many(struct action_wish *w, const char *topic, int32_t broker,
                                struct err_text *text);
/* `words`: broker ids with commas between, the preferred leader first; or cancel. ERR_INVALID with
 * text. */
enum err action_wish_move(struct action_wish *w, const char *topic, int32_t partition,
                          const char *words, struct err_text *text);
/* `words`: earliest | latest | OFFSET | +N | -N, then TOPIC or TOPIC:PARTITION if not everything is
 * meant. ERR_INVALID with text. */
enum err action_wish_reset(struct action_wish *w, const char *group, const char *words,
                           struct err_text *text);

enum action_state {
    ACTION_CLOSED,
    ACTION_PREVIEW,
    ACTION_CHECKING,  /* `y` was pressed: a snapshot taken after that is awaited */
    ACTION_READY,     /* it still holds: whoever drives this sends, and says so (action_sent) */
    ACTION_UNDER_WAY, /* sent; the answer is awaited */
    ACTION_OUTCOME
};

struct action_line {
    const char *label; /* "" when it has none */
    char text[TEXT_MAX];
    enum style style;
};

/* One of many things that change: of a reset, what is committed; of an election, the leader. */
struct action_row {
    const char *topic; /* as long as the plan */
    int32_t partition;
    int64_t before;
    int64_t after;
    int64_t end;      /* of the partition, to tell the lag; of an election, the first replica */
    const char *note; /* why it stays as it is; NULL when it changes, or is so already */
};

/* What the preview says; what is compared before anything is sent. */
struct action_plan {
    bool possible;
    bool already; /* not possible, because it is so already */
    char title[TEXT_MAX];
    struct action_line objects[ACTION_MAX_OBJECTS];
    int object_count;
    char premises[TEXT_MAX]; /* compared, not shown */
    char verdict[TEXT_MAX];  /* why it is not possible, or what to know; "" */
    int32_t to;              /* the broker to be elected */
    struct action_row *rows; /* the plan's own */
    int row_count;
    int change_count; /* of the rows; those with before == after are not sent */
    struct arena arena;
};

/* How many of the rows from `first` on are of its topic; those of a topic stand together. */
int action_rows_of_topic(const struct action_plan *plan, int first);

/* What became of the request. */
struct action_answer {
    enum err error;      /* ERR_NONE: the cluster answered, and `code` is its word */
    const char *why;     /* of `error`; reads on its own */
    int16_t code;        /* Kafka's, of the whole request or of the first part that failed */
    const char *message; /* the cluster's own words, or NULL */
    int done;            /* parts of the request that were carried out though `code` is an error */
};

enum action_result {
    ACTION_DONE,
    ACTION_PARTLY,
    ACTION_REFUSED,  /* the cluster said no: nothing changed */
    ACTION_NOT_SENT, /* it never left: nothing changed */
    ACTION_UNKNOWN   /* it left, and no answer came that tells */
};

struct action {
    enum action_state state;
    const char *where; /* the addresses the console was started with; borrowed */
    struct action_wish wish;
    struct action_plan plan;
    bool drawn;        /* the preview is on the screen */
    int row_top;       /* the first row on the screen */
    int rows_seen;     /* how many of the rows have been on the screen, from the first on */
    bool outdated;     /* the newest snapshot contradicts the preview */
    bool anew;         /* the preview replaced one that no longer held */
    bool hidden;       /* the user went on while it is under way */
    int64_t agreed_ms; /* `y` */
    int64_t answered_ms;
    enum action_result result;
    char headline[TEXT_MAX]; /* of the outcome */
    char advice[TEXT_MAX];
    char now[TEXT_MAX]; /* how it stands, as read after the answer; "" = not read yet */
    bool seen;          /* ... and it is what was asked for */
};

/* Opens the preview of what is wished, from the snapshot. ERR_BUSY, ERR_NOT_FOUND with text, and
 * nothing is opened. `a` is zero-initialised before the first. */
enum err action_open(struct action *a, const struct model *m, const char *where,
                     const struct action_wish *wish, struct err_text *text);
/* Releases what a plan holds, whatever the state. */
void action_free(struct action *a);
/* Every key goes here while this is true. */
bool action_is_open(const struct action *a);
/* A snapshot is wanted soon: to check the preview, or to see what the outcome changed. */
bool action_wants_snapshot(const struct action *a, int64_t now_ms);
/* False: it has closed itself. */
bool action_key(struct action *a, int key, int64_t now_ms);
/* The lines of action_lines are on the screen, and `rows` of its rows from row_top on; or there was
 * no room for all of the lines (`whole` is false). */
void action_drawn(struct action *a, bool whole, int rows);
/* The newest snapshot. */
void action_show(struct action *a, const struct model *m);
/* The cluster cannot be asked at present; `why` is not "". */
void action_trouble(struct action *a, const char *why);
void action_sent(struct action *a); /* from ACTION_READY */
/* The answer, from ACTION_UNDER_WAY. False: the user has gone on, and action_headline is to be said
 * elsewhere. */
bool action_answered(struct action *a, const struct action_answer *answer, int64_t now_ms);

/* What to show, in order: a title first. Returns how many; the rows belong after the first
 * `*rows_at` of them. Texts are safe (text.h). */
int action_lines(const struct action *a, struct action_line lines[ACTION_MAX_LINES], int *rows_at);
/* How many rows there are to be shown now. */
int action_row_count(const struct action *a);
/* One of them, in words. */
char *action_row_text(const struct action *a, int row, char out[TEXT_MAX]);

#endif
