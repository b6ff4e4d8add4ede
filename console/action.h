/* action: the change an operator makes from the console: elect a partition's preferred leader.
 *
 * A state machine without terminal, loop or network: keys, snapshots and the cluster's answer in;
 * words to show, and at one point the order to send, out. Times are wall times, handed in.
 *
 * WHAT IS SAID IS WHAT IS DONE. The preview is frozen: newer snapshots do not change its words. On
 * `y` the cluster is read again; only if every word of the preview still holds is the request sent.
 * If not, nothing is sent and the new preview is shown. `y` counts only when the preview is on the
 * screen as a whole (action_drawn), so that keys typed ahead, or text pasted by mistake, cannot
 * agree to what nobody has read. No other key agrees to anything.
 *
 * The cluster is told once. When it is not known whether it obeyed, that is said, and nothing is
 * repeated. */
#ifndef CONSOLE_ACTION_H
#define CONSOLE_ACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "console/model.h"
#include "console/text.h"
#include "console/theme.h"

enum {
    ACTION_TOPIC_BYTES = 250, /* Kafka's longest name is 249 */
    ACTION_MAX_LINES = 10,
    ACTION_WATCH_MS = 10000 /* for so long after the answer the new leader is looked for */
};

enum action_state {
    ACTION_CLOSED,
    ACTION_PREVIEW,
    ACTION_CHECKING,  /* `y` was pressed: a snapshot taken after that is awaited */
    ACTION_READY,     /* it still holds: whoever drives this sends, and says so (action_sent) */
    ACTION_UNDER_WAY, /* sent; the answer is awaited */
    ACTION_OUTCOME
};

/* What the cluster will make of it, foretold from a snapshot. */
enum action_verdict {
    ACTION_POSSIBLE,
    ACTION_LEADS_ALREADY,
    ACTION_NOT_IN_SYNC,
    ACTION_BROKER_DOWN, /* fenced, or not in the cluster */
    ACTION_NO_REPLICA   /* the cluster names none */
};

/* What the preview says. */
struct action_plan {
    char cluster[TEXT_MAX];
    char topic[ACTION_TOPIC_BYTES];
    struct uuid topic_id;
    int32_t partition;
    int64_t leader_epoch;
    int32_t from; /* MODEL_NO_BROKER: the partition is offline */
    int32_t to;
    char from_text[TEXT_MAX]; /* "3@host:9092" */
    char to_text[TEXT_MAX];
    char replicas[TEXT_MAX];
    char in_sync[TEXT_MAX];
    enum action_verdict verdict;
};

/* What became of the request. */
struct action_answer {
    enum err error;      /* ERR_NONE: the cluster answered, and `code` is its word */
    const char *why;     /* of `error`; reads on its own */
    int16_t code;        /* Kafka's, of the whole request or of the partition */
    const char *message; /* the cluster's own words, or NULL */
};

enum action_result {
    ACTION_DONE,
    ACTION_REFUSED,  /* the cluster said no: nothing changed */
    ACTION_NOT_SENT, /* it never left: nothing changed */
    ACTION_UNKNOWN   /* it left, and no answer came that tells */
};

struct action {
    enum action_state state;
    const char *where; /* the addresses the console was started with; borrowed */
    struct action_plan plan;
    bool drawn;        /* the preview is on the screen */
    bool outdated;     /* the newest snapshot contradicts the preview */
    bool anew;         /* the preview replaced one that no longer held */
    bool hidden;       /* the user went on while it is under way */
    int64_t agreed_ms; /* `y` */
    int64_t answered_ms;
    enum action_result result;
    char headline[TEXT_MAX]; /* of the outcome */
    char advice[TEXT_MAX];
    char leader_now[TEXT_MAX]; /* as read after the answer; "" = not read yet */
    bool leader_seen;          /* ... and it is the one that was asked for */
};

/* Opens the preview for a partition of the snapshot. ERR_BUSY, ERR_INVALID, ERR_NOT_FOUND with
 * text, and nothing is opened. */
enum err action_open(struct action *a, const struct model *m, const char *where, const char *topic,
                     int32_t partition, struct err_text *text);
/* Every key goes here while this is true. */
bool action_is_open(const struct action *a);
/* A snapshot is wanted soon: to check the preview, or to see what the outcome changed. */
bool action_wants_snapshot(const struct action *a, int64_t now_ms);
/* False: it has closed itself. */
bool action_key(struct action *a, int key, int64_t now_ms);
/* The lines of action_lines are on the screen, or there was no room for all of them. */
void action_drawn(struct action *a, bool whole);
/* The newest snapshot. */
void action_show(struct action *a, const struct model *m);
/* The cluster cannot be asked at present; `why` is not "". */
void action_trouble(struct action *a, const char *why);
void action_sent(struct action *a); /* from ACTION_READY */
/* The answer, from ACTION_UNDER_WAY. False: the user has gone on, and action_headline is to be said
 * elsewhere. */
bool action_answered(struct action *a, const struct action_answer *answer, int64_t now_ms);

struct action_line {
    const char *label; /* "" when it has none */
    char text[TEXT_MAX];
    enum style style;
};
/* What to show, in order: a title first. Returns how many. Texts are safe (text.h). */
int action_lines(const struct action *a, struct action_line lines[ACTION_MAX_LINES]);

#endif
