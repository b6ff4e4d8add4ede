/* view: a screen of the console: a table of some part of the model, with a way to what lies behind
 * a row.
 *
 * One table of operations per screen (view_ops); an open screen is a struct view, with its own
 * cursor, filter and sort, so that going back finds all as it was. A view knows nothing of the
 * cluster but the snapshot it was last shown, and nothing of the terminal beyond its table. */
#ifndef CONSOLE_VIEW_H
#define CONSOLE_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "console/model.h"
#include "console/table.h"

enum view_id {
    VIEW_OVERVIEW, /* the first six are the screens with a digit and a name */
    VIEW_BROKERS,
    VIEW_TOPICS,
    VIEW_PARTITIONS,
    VIEW_GROUPS,
    VIEW_QUORUM,
    VIEW_GROUP, /* one group's members and offsets; opened from groups */
    VIEW_HELP,
    VIEW_COUNT,
    VIEW_NAMED_COUNT = VIEW_QUORUM + 1
};

/* What part of the cluster a view is about. */
struct view_scope {
    char *topic; /* NULL = all; owned by the view */
    char *group;
    int32_t broker;         /* MODEL_NO_BROKER = all */
    enum model_fault fault; /* MODEL_HEALTHY = all; else only partitions at least so wrong */
};

struct view {
    enum view_id id;
    const struct view_ops *ops;
    struct view_scope scope;
    struct table table;
    const struct model *model; /* a reference; NULL before the first snapshot */
    bool hide_internal;
    bool only_wrong;
    void *extra; /* rows that are not in the model; one block, renewed at every load */
};

/* Where Enter leads. The names are borrowed. */
struct view_target {
    enum view_id id;
    const char *topic;
    const char *group;
    int32_t broker;
    enum model_fault fault;
};

/* Whose preferred leaders `e` elects. */
enum view_elects {
    VIEW_ELECTS_NONE,
    VIEW_ELECTS_PARTITION, /* the row's, {topic, partition}; whose replicas `m` moves, too */
    VIEW_ELECTS_TOPIC,     /* {topic, 0} */
    VIEW_ELECTS_BROKER,    /* {"", broker}: where it is the first replica */
    VIEW_ELECTS_ALL
};

struct view_ops {
    const char *name;
    const struct column *columns;
    int column_count;
    unsigned parts;      /* 1u << model_part_id of each part it shows */
    bool row_partitions; /* its rows' ids are {topic, partition} */
    bool row_groups;     /* its rows' ids are {group, 0} */
    enum view_elects elects;
    bool resets; /* its rows are groups, or of one group, whose offsets may be reset */
    /* Adds the rows between table_begin and table_end. v->model is not NULL unless the view has no
     * parts. */
    void (*load)(struct view *v);
    bool (*wrong)(const struct row *row); /* NULL = nothing ever is */
    /* False: nothing lies behind the row. May be NULL. */
    bool (*open)(const struct view *v, const struct row *row, struct view_target *to);
    /* Lines above the table: fills `line` number `index`, false when there is none. May be NULL. */
    bool (*head)(const struct view *v, int index, struct cell *line);
};

extern const struct view_ops view_overview;
extern const struct view_ops view_brokers;
extern const struct view_ops view_topics;
extern const struct view_ops view_partitions;
extern const struct view_ops view_groups;
extern const struct view_ops view_quorum;
extern const struct view_ops view_group;
extern const struct view_ops view_help;

const struct view_ops *view_ops_of(enum view_id id);
/* "overview", "brokers", ...; false when no named screen has that name. */
bool view_by_name(const char *name, enum view_id *id);

/* `to` says which screen and of what; its names are copied. */
struct view *view_new(const struct view_target *to);
void view_free(struct view *v); /* NULL is allowed */
/* Shows another snapshot (takes its own reference), keeping cursor, filter and sort. */
void view_show(struct view *v, const struct model *m);
/* Loads the rows anew, after a change of hide_internal or only_wrong. */
void view_reload(struct view *v);
/* "partitions of orders". */
char *view_title(const struct view *v, char out[TEXT_MAX]);

/* For load functions: adds the row unless only_wrong leaves it out. */
void view_add(struct view *v, struct row row);
/* For value functions of partitions and for partitions elsewhere. */
const char *view_fault_name(enum model_fault fault);
enum style view_fault_style(enum model_fault fault);

#endif
