/* ini: KEY = VALUE lines grouped by [sections], read through inih with line numbers kept.
 *
 * Lines start in the first column. Comments (# or ;) stand on lines of their own. An indented line
 * gives further items of the list key above it; the items are joined with a comma. Sections only
 * group. A line may hold up to 199 bytes. Whatever inih 55 would bend silently (longer lines, text
 * after " ;", an indented line under a key that is no list) is an error that says where. */
#ifndef COMMON_BASE_INI_H
#define COMMON_BASE_INI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

/* One key with its whole value; strings live until the call returns. */
struct ini_entry {
    const char *file;
    int line;            /* where the key stands, from 1 */
    const char *section; /* "" before the first; at most 49 bytes, as inih cuts it */
    const char *key;
    const char *value;
};

struct ini_visitor {
    /* Whether indented lines may follow `key`. */
    bool (*is_list)(void *ctx, const char *key);
    /* An error ends the reading. Its text must name file and line itself. */
    enum err (*entry)(void *ctx, const struct ini_entry *entry, struct err_text *text);
    void *ctx;
};

/* Visits the entries of a file's text in order. `file` is the name used in messages.
 * ERR_INVALID with text "FILE:LINE: what is wrong: what to do", or the visitor's error. */
enum err ini_read(const char *file, const char *data, size_t size,
                  const struct ini_visitor *visitor, struct err_text *text);

#endif
