/* action_kinds: what is particular to each kind of change. action.c drives; these know the words.
 * For action.c and its kinds only. */
#ifndef CONSOLE_ACTION_KINDS_H
#define CONSOLE_ACTION_KINDS_H

#include "console/action.h"

struct action_kind {
    /* Makes the plan for what is wished, in a zeroed one. With `said`, a plan made earlier, targets
     * that were counted from moving ends stay as they were said, so that the two can be compared.
     * False with text: what it is about is no more. */
    bool (*plan)(struct action_plan *plan, const struct action_wish *wish, const struct model *m,
                 const struct action_plan *said, struct err_text *text);
    /* All that the plan rests on was read at `since_ms` or later. False with text in `why`: it
     * cannot be read. */
    bool (*fresh)(const struct action_wish *wish, const struct model *m, int64_t since_ms,
                  char why[TEXT_MAX]);
    const char *agree;  /* "y elects." */
    const char *failed; /* "Not elected" */
    const char *api;    /* what a broker must serve */
    const char *watch;  /* what `now` is about: "leader" */
    /* What becomes of a row, after its name. NULL when there are none. */
    void (*row)(const struct action_row *row, char out[TEXT_MAX]);
    void (*done)(const struct action *a, char headline[TEXT_MAX]);
    void (*unknown)(const struct action *a, char advice[TEXT_MAX]);
    const char *(*advice)(int16_t code);
    /* How it stands in a snapshot taken after the answer; true when as was asked for. `now` stays
     * empty when the snapshot does not tell. */
    bool (*look)(const struct action *a, const struct model *m, char now[TEXT_MAX]);
};

extern const struct action_kind action_elect;
extern const struct action_kind action_elect_many;
extern const struct action_kind action_move;
extern const struct action_kind action_reset;

/* The next object of the plan, its text still empty. */
char *action_add_object(struct action_plan *plan, const char *label);
/* "3@host:9092", made safe. */
void action_broker_text(const struct model *m, int32_t id, char out[TEXT_MAX]);
/* `fresh` of what rests on brokers, leaders and ISR alone. */
bool action_cluster_fresh(const struct action_wish *wish, const struct model *m, int64_t since_ms,
                          char why[TEXT_MAX]);
/* What to do about an election that was refused. */
const char *action_elect_advice(int16_t code);
/* Advice that fits every kind. */
const char *action_common_advice(int16_t code);

#endif
