/* Shared by the room's files only.
 *
 * WHO TOUCHES WHAT. struct log_dir, struct log and struct segment belong to the core. A job gets a
 * struct task of its own with copies, references to files and buffers, and hands its results back
 * in `finished`, on the core. Tasks are linked in their owner, so that log_free and log_dir_free
 * can drop them when the simulator crashes the node and `finished` never comes.
 *
 * ORDER ON DISK. One log has at most one job of the disk queue in flight (write or cut); a cut
 * further waits until no roll or deletion of the same log is under way. Syncs and reads run beside
 * them. */
#ifndef BROKER_LOG_LOG_INTERNAL_H
#define BROKER_LOG_LOG_INTERNAL_H

#include "broker/log/log_parts.h"

/* ---- scan.c: batches of a file, one after the other
 * ---------------------------------------------- */

/* On a worker. Reads ahead in chunks, so that walking small batches costs few reads and walking
 * large ones skips their bodies. */
struct scan {
    struct env_fs *fs;
    struct env_file *file;
    int64_t at;   /* of the next batch */
    int64_t size; /* of the file */
    uint8_t *chunk;
    size_t chunk_capacity;
    int64_t chunk_at;
    size_t chunk_size;
};

struct scanned {
    struct batch batch; /* header fields */
    int64_t position;
    const uint8_t
        *bytes; /* the whole batch when asked for, else the header only; until the next call */
};

void scan_init(struct scan *s, struct env_fs *fs, struct env_file *file, int64_t at, int64_t size);
void scan_free(struct scan *s);
/* ERR_NOT_FOUND at the end; ERR_CORRUPT when no whole sane batch begins at s->at (text says why).
 * With `whole` the CRC is checked too. After success s->at is behind the batch. */
enum err scan_next(struct scan *s, bool whole, struct scanned *out, struct err_text *text);

/* ---- task.c: jobs with an owner
 * ------------------------------------------------------------------ */

struct task {
    struct env_job job;
    struct list node;                                  /* in the owner's tasks */
    struct log_dir *dir;                               /* always */
    struct log *log;                                   /* NULL: the directory's own */
    void (*run)(struct task *task, struct env_fs *fs); /* on a worker; sets error and text */
    void (*finished)(struct task *task);               /* on the core; the log is alive */
    void (*release)(struct task *task);                /* frees what the task holds; may be NULL */
    enum err error;
    struct err_text text;
};

/* A zeroed struct of `size` bytes that begins with a struct task, linked in its owner. */
void *task_new(size_t size, struct log_dir *dir, struct log *log);
void task_submit(struct task *task, struct env_lane *lane);
/* Frees tasks whose `finished` will never come. */
void tasks_drop(struct list *tasks);

/* ---- segments
 * ------------------------------------------------------------------------------------ */

struct segment {
    int64_t base_offset;
    int64_t end_offset;    /* one past the last record placed; base_offset when empty */
    int64_t size;          /* bytes placed in it, written or queued */
    int64_t max_timestamp; /* -1 when empty */
    int64_t max_timestamp_offset;
    int64_t first_timestamp; /* of its first batch: segment.ms counts from there; -1 when empty */
    int64_t created_ms;      /* wall clock */
    int32_t unindexed_bytes; /* since the last index entry */
    bool exists;             /* the .log file is there */
    bool dirty;              /* written since the last sync began */
    bool name_dirty;         /* its directory was not synced since the file was made */
    bool sealed;             /* no longer the active one */
    bool settled;            /* sealed, synced, indexes on disk: `index` is empty then */
    bool working;            /* a roll job is under way */
    struct segment_index index;
    struct bytes snapshot;    /* producers at end_offset, for the roll job; empty: none */
    struct env_file *file;    /* NULL until someone needs it */
    struct list lru;          /* of the directory's open files at rest */
    struct log_dir *files_of; /* while `file` is there */
};

/* What a job found out about a segment's file. */
struct segment_facts {
    int64_t base_offset;
    int64_t end_offset;
    int64_t size;
    int64_t max_timestamp;
    int64_t max_timestamp_offset;
    int64_t first_timestamp;
    int32_t unindexed_bytes;
    bool settled; /* `index` is empty, its files are there */
    struct segment_index index;
};

struct segment *segment_new(int64_t base_offset, int64_t created_ms);
struct segment *segment_of_facts(struct segment_facts *facts, int64_t now_ms); /* takes the index */
void segment_free(struct segment *segment);
/* Accounts for a batch at the segment's end, in index and times. */
void segment_facts_place(struct segment_facts *facts, const struct batch *batch,
                         int32_t index_interval_bytes);
void segment_place(struct segment *segment, const struct batch *batch,
                   int32_t index_interval_bytes);
/* Adds the last time entry, as a roll or close does. */
void segment_seal_times(struct segment *segment);
/* Walks a file of `size` bytes from the start by headers (or whole with CRC) up to `end_offset`,
 * filling facts anew. Stops before the first batch that reaches end_offset or beyond; facts->size
 * says where. `each` may be NULL. Returns ERR_CORRUPT with facts up to the bad place. */
enum err segment_walk(struct env_fs *fs, struct env_file *file, int64_t size, int64_t end_offset,
                      bool check_crc, int32_t index_interval_bytes, struct segment_facts *facts,
                      void (*each)(void *ctx, const struct batch *batch), void *ctx,
                      struct err_text *text);
/* Writes, and syncs if asked to, .index and .timeindex; the caller syncs the directory. */
enum err segment_write_indexes(struct env_fs *fs, const char *dir_path, int64_t base_offset,
                               const struct segment_index *index, bool sync, struct err_text *text);
/* Those of a segment that is about to hold other batches, or of which nothing is known: they are
 * made anew when it is closed. The caller syncs the directory. */
enum err segment_remove_indexes(struct env_fs *fs, const char *dir_path, int64_t base_offset,
                                struct err_text *text);
/* Creates or overwrites PATH and syncs its content; the caller syncs the directory. */
enum err file_write(struct env_fs *fs, const char *path, const void *data, size_t size,
                    struct err_text *text);
/* The same, synced or not. */
enum err file_put(struct env_fs *fs, const char *path, const void *data, size_t size, bool sync,
                  struct err_text *text);
/* Syncs a .log file. A sync that finds no room has lost what was written: ERR_IO, never
 * ERR_NO_SPACE, which stands for "not done, to be tried again". */
enum err segment_sync(struct env_fs *fs, struct env_file *file, struct err_text *text);
/* The whole file system, by the same rule. `file` is the directory's lock: it was opened before
 * anything was written. */
enum err sync_all(struct env_fs *fs, struct env_file *file, struct err_text *text);
/* As env_fs_unlink, but a file that is not there is no error. */
enum err file_remove(struct env_fs *fs, const char *path, struct err_text *text);

/* ---- the log
 * ------------------------------------------------------------------------------------- */

enum log_state { LOG_OPENING, LOG_OPEN, LOG_CLOSING, LOG_CLOSED, LOG_DELETING, LOG_BROKEN };

/* A batch placed in the active segment or the one before: where it lies. */
struct recent {
    int64_t base_offset;
    int64_t last_offset;
    int64_t segment_base;
    int32_t position;
    int32_t size;
};

struct recents {
    struct recent *ring;
    size_t capacity; /* grows by doubling up to RECENT_MAX */
    size_t first;
    size_t count;
};

/* One batch on its way to the disk. */
struct pending {
    struct list node;
    struct buf *buf; /* a reference */
    size_t at;
    struct batch batch;
    struct segment *segment; /* NULL until placed */
    int64_t position;
};

struct log {
    struct log_dir *dir;
    struct dir_entry *entry;
    struct env *env;
    char *topic;
    int32_t partition;
    struct uuid topic_id;
    char *name;
    char *path;
    struct log_config config;
    enum env_worker append_worker;
    enum env_worker commit_worker;
    struct log_events events;
    void (*opened)(void *ctx, struct log *log, const struct log_opened *opened);
    void (*closed)(void *ctx, enum err error, const struct err_text *text);
    void *closed_ctx;
    void (*deleted)(void *ctx, enum err error);
    void *deleted_ctx;
    void *ctx;
    enum log_state state;
    struct load *load_waiting; /* for dir->checkpoint_tidy */
    bool failed;
    bool delete_waits; /* for room, to be renamed */
    bool shutting;     /* the closing task has been submitted: no other may follow it */
    bool shut;         /* closing: everything is on disk */
    enum err error;
    struct err_text text;
    struct list tasks;
    struct list reads; /* log_read.node of those that wait for an answer */
    struct list lookups;

    int64_t start;
    int64_t assigned;
    int64_t written;
    int64_t durable;
    int64_t bytes;
    uint32_t generation; /* bumped by every cut */
    uint32_t layout;     /* bumped when batches move within the log's files */
    int64_t noted_high_watermark;
    int64_t recovered_high_watermark;

    struct segment **segments; /* by base offset; the last is the active one */
    size_t segment_count;
    size_t segment_capacity;
    struct recents recents;
    struct epochs epochs;
    bool epochs_dirty;       /* not yet on its way to the file */
    bool epochs_saving;      /* on its way */
    int64_t epochs_kept_end; /* the file has all entries that start below this */
    struct producers producers;
    bool producers_known; /* false while a cut's job rebuilds them */

    struct env_lane *lane;      /* the disk queue */
    struct env_lane *bulk_lane; /* rolls, deletions, recovery */
    struct env_lane *read_lane; /* opened by the first cold read */
    struct list queue;          /* placed, to be written */
    struct list deferred;       /* behind a cut: not placed yet */
    bool writing;               /* a job of the disk queue is in flight */
    int working;                /* roll and deletion jobs in flight */
    bool cut_wanted;
    bool cut_fully; /* start anew at cut_offset */
    int64_t cut_offset;
    uint64_t cut_checkpoint;    /* the checkpoint that must be on disk before the cut */
    uint64_t delete_checkpoint; /* same, before segments below start go; 0 none */
    struct env_post flush_post;
    struct env_post news_post;
    struct env_post settle_post;
    bool news_written;
    bool news_durable;
    bool news_failed;
    bool news_full;

    struct clean *clean; /* the compaction under way */
    bool clean_stepping; /* on its worker now */
    bool clean_swapping; /* past the point where it can be given up */
    bool clean_cancelled;

    bool made;   /* its directory is there */
    bool making; /* a job is making it */
    struct list make_node;
    struct list epochs_node;
    struct list files_node; /* in dir->files_waiting */
    bool file_reserved;
    bool file_granted; /* its turn has come */

    struct list commit_node; /* in the committer's waiting logs */
    bool committing;
    struct env_timer flush_timer; /* flush.ms */
};

/* log.c, close.c */
/* Goes on with an opening that waited for the checkpoints to be tidy. */
void log_open_step(struct log *log);
/* Gives its name in the directory free. */
void log_leave(struct log *log);
bool log_idle(const struct log *log);
/* Fails the log for good and, with it, its directory; alone when its files are damaged
 * (ERR_CORRUPT): that says nothing of the others. */
void log_fail(struct log *log, enum err error, const struct err_text *text);
/* Fails the log alone: its closing found no room. The directory will not be marked clean. */
void log_give_up(struct log *log, enum err error, const struct err_text *text);
/* After a task ended: goes on with closing or deleting. */
void log_settle(struct log *log);
void log_announce(struct log *log);
struct segment *log_active(const struct log *log); /* NULL when there is none */
/* The segment that holds `offset` or, in a gap, the next; NULL past the end. */
struct segment *log_segment_at(const struct log *log, int64_t offset);
size_t log_segment_index(const struct log *log, int64_t offset); /* segment_count when NULL */
/* Segments settle in order: from here on they are not. */
size_t log_first_unsettled(const struct log *log);
void log_add_segment(struct log *log, struct segment *segment);
void log_drop_memory(struct log *log);

/* queue.c: the disk queue */
void queue_add(struct log *log, struct buf *buf, size_t at, const struct batch *batch);
void queue_flush_soon(struct log *log);
/* Drops what is queued from `offset` on. */
void queue_drop(struct log *log, int64_t offset);
/* A new active segment at the assigned end; the present one, if not empty, is sealed. */
void queue_roll(struct log *log, int64_t base_offset);
void queue_submit_rolls(struct log *log);
/* Places what waited behind a cut. */
void queue_undefer(struct log *log);

/* roll.c */
void roll_submit(struct log *log, struct segment *segment);

/* save_epochs.c */
/* Writes the epoch cache when it changed and holds something the log shows already. */
void epochs_save(struct log *log);
/* Whether an epoch that began below `offset` is not in the file yet. */
bool epochs_wait(const struct log *log, int64_t offset);
void save_epochs_init(struct log_dir *dir);
void save_epochs_fini(struct log_dir *dir);

/* cut.c */
/* Submits the wanted cut when nothing stands in its way. True while one is wanted or under way. */
bool cut_step(struct log *log);

/* On a worker: what the snapshot at `snapshot` (-1 none) and the batches from it up to end_offset
 * say. `bases`: the segments there are. */
enum err producers_rebuild(struct producers *p, struct env_fs *fs, const char *path,
                           int64_t snapshot, const int64_t *bases, size_t base_count,
                           int64_t start_offset, int64_t end_offset, struct err_text *text);

/* recents.c */
void recents_push(struct recents *r, const struct recent *recent);
/* The first batch whose last offset is at or past `offset`, NULL when that may be an older one. */
const struct recent *recents_find(const struct recents *r, int64_t offset, size_t *slot);
const struct recent *recents_at(const struct recents *r, size_t slot);
void recents_truncate(struct recents *r, int64_t end_offset);
/* Those below `offset`. */
void recents_forget(struct recents *r, int64_t offset);
void recents_free(struct recents *r);

/* read.c */
/* On a worker: index_floor from the .index file. */
int64_t index_file_floor(struct env_fs *fs, const char *log_path, int64_t base_offset,
                         int64_t offset, int64_t file_size);

/* retention.c */
void retention_step(struct log *log);

/* ---- opening: load.c, recover.c
 * ------------------------------------------------------------------ */

struct load {
    struct task task;
    /* in */
    char *path;
    char *dir_path;
    char *name;
    struct uuid topic_id;
    bool fresh; /* there is no directory yet, and none is made */
    bool clean;
    bool compacted;
    int32_t index_interval_bytes;
    int64_t recovery_point; /* -1 unknown */
    int64_t high_watermark;
    int64_t start_offset;
    /* out */
    struct log_opened opened;
    struct segment_facts *segments;
    size_t segment_count;
    size_t segment_capacity;
    struct epochs epochs;
    bool epochs_kept; /* they are what the file says */
    struct producers producers;
    /* while it runs */
    int64_t *bases;
    size_t base_count;
    size_t base_capacity;
    int64_t *snapshots;
    size_t snapshot_count;
    size_t snapshot_capacity;
    char **leftovers; /* names to remove */
    size_t leftover_count;
    size_t leftover_capacity;
    char **swaps;
    size_t swap_count;
    size_t swap_capacity;
    bool found_metadata;
    int64_t best_snapshot; /* -1 none */
};

void load_run(struct task *task, struct env_fs *fs);
void load_release(struct task *task);
/* All its files but the snapshot, which is judged by its offset. */
enum err load_remove_segment(struct load *load, struct env_fs *fs, int64_t base_offset);
/* recover.c: segments, producers and epochs, once the directory is tidy. */
enum err load_segments(struct load *load, struct env_fs *fs);

/* ---- the directory
 * ------------------------------------------------------------------------------- */

struct dir_entry {
    char *name; /* TOPIC-PARTITION */
    char *topic;
    int32_t partition;
    struct uuid topic_id; /* of partition.metadata; zero when missing */
    bool on_disk;
    bool clean;             /* closed cleanly since it was last written */
    int64_t recovery_point; /* for the checkpoints while no log is open; -1 unknown */
    int64_t high_watermark;
    int64_t start;
    int64_t cleaned;              /* compacted up to here; -1 never */
    int64_t kept_recovery_point;  /* surely in the file */
    int64_t saved_recovery_point; /* as last handed to the checkpoint files */
    int64_t saved_high_watermark;
    int64_t saved_start;
    struct log *log;
    UT_hash_handle hh;
};

#define DIR_META_FILE  "meta.properties"
#define DIR_LOCK_FILE  ".lock"
#define DIR_CLEAN_FILE ".kafka_cleanshutdown"

enum {
    CHECKPOINT_HIGH_WATERMARK = 1,
    CHECKPOINT_RECOVERY_POINT = 2,
    CHECKPOINT_START = 4,
    CHECKPOINT_CLEANER = 8,
    CHECKPOINT_ALL = 15,
    CHECKPOINTS = 4
};

struct committer {
    struct log_dir *dir;
    enum env_worker worker;
    struct env_lane *lane;
    struct list waiting; /* log.commit_node */
    bool running;
    struct env_post post;
};

struct log_dir {
    struct env *env;
    char *path;
    void (*opened)(void *ctx, struct log_dir *dir, const struct log_dir_found *found);
    void *ctx;
    struct log_dir_meta meta;
    struct env_file *lock;
    bool ready;
    bool failed;
    enum err error;
    struct err_text text;
    bool clean;                /* .kafka_cleanshutdown was found */
    struct dir_entry *entries; /* uthash by name */
    struct list tasks;
    struct env_lane *lane;      /* checkpoints, on the commit worker */
    struct env_lane *bulk_lane; /* open, close, deletions */
    struct committer committers[ENV_WORKERS];
    struct list open_files; /* segment.lru: those at rest, oldest first */
    int resting_files;
    int open_file_count; /* of segments, at rest or not */
    int files_reserved;  /* to be opened by writes under way */
    int open_files_max;
    struct list files_waiting; /* log.files_node: writes that may open no file */
    int64_t free_bytes;
    int64_t total_bytes;
    /* checkpoints */
    int checkpoint_wanted; /* mask */
    bool checkpointing;
    uint64_t checkpoint_asked; /* number of the latest request ... */
    uint64_t checkpoint_done;  /* ... of the latest on disk */
    uint64_t checkpoint_tidy;  /* the one that drops the lines of partitions that are gone */
    struct env_post checkpoint_post;
    struct env_timer high_watermark_timer;
    struct env_timer recovery_timer;
    struct list make_waiting; /* log.make_node */
    struct env_lane *make_lane;
    struct env_post make_post;
    bool making;
    struct list epochs_waiting; /* log.epochs_node */
    struct env_lane *epochs_lane;
    struct env_post epochs_post;
    bool saving_epochs;
    struct list deletions; /* directories waiting for file.delete.delay.ms */
    struct log_cleaner cleaner;
    struct env_timer cleaner_timer;
    struct env_timer clean_step_timer;
    struct env_lane *clean_lane; /* opened by the first compaction */
    struct log *cleaning;
    bool full;     /* room.c */
    bool unsynced; /* logs were closed whose files are not synced yet */
    bool unclean;  /* a log could not be closed for want of room */
    int64_t full_said_ms;
    struct env_timer room_timer;
    void (*closed)(void *ctx, enum err error, const struct err_text *text);
    void *closed_ctx;
    int64_t close_broker_epoch;
    bool closing;
    bool marked; /* the clean shutdown marker is written, or failed to be */
    struct env_post closed_post;
};

/* dir_open.c: reads all there is to know, then calls dir->opened. */
void dir_submit_open(struct log_dir *dir);
/* The lines of a partition that is gone must not be taken for those of one that is made under its
 * name: until they are off the disk no partition is made. */
void dir_tidy_checkpoints(struct log_dir *dir);
struct dir_entry *dir_entry_of(struct log_dir *dir, const char *topic, int32_t partition);
void dir_entry_drop(struct log_dir *dir, struct dir_entry *entry);
void dir_fail(struct log_dir *dir, enum err error, const struct err_text *text);
/* Asks for the checkpoints of `mask` with the present values; the number says when
 * (checkpoint_done). */
uint64_t dir_checkpoint(struct log_dir *dir, int mask);
void dir_init_checkpoints(struct log_dir *dir);
void dir_start_checkpoints(struct log_dir *dir);
void dir_stop_checkpoints(struct log_dir *dir);
/* Makes the three checkpoints' text of the present values; those of `mask` are about to be written.
 */
void dir_checkpoint_texts(struct log_dir *dir, int mask, struct bytes texts[CHECKPOINTS]);
/* Writes them; `mask` says which. */
enum err dir_checkpoint_write(struct env_fs *fs, const char *dir_path,
                              const struct bytes texts[CHECKPOINTS], int mask,
                              struct err_text *text);
extern const char *const dir_checkpoint_names[CHECKPOINTS];
/* Removes PATH and the files in it after a delay, without news. */
void dir_remove_later(struct log_dir *dir, const char *path, int64_t delay_ms);
/* The same for a segment's files, renamed to .deleted: `path` ends with its number. */
void dir_remove_segment_later(struct log_dir *dir, const char *path, int64_t delay_ms);
/* Every file kind of a segment, .log last: what is listed has all or was being deleted. */
extern const char *const segment_suffixes[];
void dir_drop_deletions(struct log_dir *dir);
enum err dir_remove_tree(struct env_fs *fs, const char *path, struct err_text *text);

/* Does now what waits for its delay. */
void dir_hasten_deletions(struct log_dir *dir);

/* cleaner.c */
void cleaner_start(struct log_dir *dir);
void cleaner_stop(struct log_dir *dir);
/* Gives up a compaction that is under way: now or after its step. */
void clean_cancel(struct log *log);
/* At once: the log's memory goes. */
void clean_drop(struct log *log);

/* files.c */
/* Keeps `file` (a reference taken over) as the segment's open file. */
void log_keep_file(struct log *log, struct segment *segment, struct env_file *file);
void log_drop_file(struct segment *segment); /* harmless when there is none */
/* Whether what is queued may be written now; if not, the queue goes on when it may. */
bool files_admit(struct log *log);
void files_release(struct log *log); /* the write is over */
void files_busy(struct segment *segment);
/* Something was synced. */
void files_rest(struct log *log);

/* make.c */
/* Whether the log's directory is there; if not, it is made and the log's queue goes on then. */
bool make_ready(struct log *log);
void make_forget(struct log *log);
void make_init(struct log_dir *dir);
void make_fini(struct log_dir *dir);

/* room.c */
/* Something could not be written for want of room: it is tried again when there is some. */
void dir_full(struct log_dir *dir, const struct err_text *text);
void dir_stop_waiting(struct log_dir *dir);

/* commit.c */
void committer_init(struct committer *c, struct log_dir *dir, enum env_worker worker);
void committer_fini(struct committer *c);
/* Written has moved: a sync is due at once, later or never, by flush.messages and flush.ms. */
void commit_consider(struct log *log);
void commit_forget(struct log *log);

#endif
