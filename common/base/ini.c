/* The happy path: inih asks next_line for a line, splits it and calls on_pair; on_pair keeps the
 * pair as pending, since indented lines may follow, and hands over the one before it.
 *
 * Failure modes: next_line refuses what inih 55 would bend and then reports the end of input, so
 * inih stops; inih itself goes on after a line without '=' and returns that line's number, which
 * wins when it comes before a later complaint. */
#include "common/base/ini.h"

#include <ini.h>
#include <stdint.h>
#include <string.h>

#include "common/base/assert.h"
#include "common/base/buf.h"

enum { LINE_MAX_BYTES = 199 };

struct reading {
    const char *file;
    const char *at;
    const char *end;
    int line;
    bool indented; /* the line handed out last */
    const struct ini_visitor *visitor;
    struct err_text *text;
    enum err error;
    int error_line;
    bool pending;
    int pending_line;
    struct bytes section;
    struct bytes key;
    struct bytes value;
};

static void refuse(struct reading *r, const char *what)
{
    if (r->error == ERR_NONE) {
        r->error = ERR_INVALID;
        r->error_line = r->line;
        err_set(r->text, "%s:%d: %s", r->file, r->line, what);
    }
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void store(struct bytes *to, const char *s)
{
    to->size = 0;
    bytes_append(to, s, strlen(s) + 1);
}

/* What inih would take for a comment behind a value. */
static bool holds_inline_comment(const char *line, size_t size)
{
    for (size_t i = 1; i < size; i++) {
        if (line[i] == ';' && blank(line[i - 1])) {
            return true;
        }
    }
    return false;
}

static bool line_is_sound(struct reading *r, const char *line, size_t size)
{
    if (memchr(line, '\0', size) != NULL) {
        refuse(r, "the line holds a NUL byte: a settings file is plain text");
        return false;
    }
    while (size > 0 && blank(line[size - 1])) {
        size--;
    }
    size_t start = 0;
    while (start < size && blank(line[start])) {
        start++;
    }
    r->indented = start > 0;
    if (start == size || line[start] == '#' || line[start] == ';') {
        return true;
    }
    if (line[start] == '[') {
        if (r->indented || line[size - 1] != ']') {
            refuse(r, "a section is [NAME] alone on its line, from the first column");
            return false;
        }
        return true;
    }
    if (holds_inline_comment(line, size)) {
        refuse(r, "\" ;\" would cut the value here: put a comment on its own line, or give the "
                  "value with --set");
        return false;
    }
    return true;
}

/* inih's reader: the next line without its newline, NULL at the end. */
static char *next_line(char *to, int capacity, void *ctx)
{
    struct reading *r = ctx;
    if (r->error != ERR_NONE || r->at == r->end) {
        return NULL;
    }
    r->line++;
    const char *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *line = r->at;
    const char *stop = newline != NULL ? newline : r->end;
    r->at = newline != NULL ? newline + 1 : r->end;
    if (stop > line && stop[-1] == '\r') {
        stop--;
    }
    size_t size = (size_t)(stop - line);
    ASSERT(capacity > LINE_MAX_BYTES);
    if (size > LINE_MAX_BYTES) {
        refuse(r, "the line is longer than 199 bytes: put further items of a list on indented "
                  "lines below, or give the value with --set");
        return NULL;
    }
    if (!line_is_sound(r, line, size)) {
        return NULL;
    }
    memcpy(to, line, size);
    to[size] = '\0';
    return to;
}

static void hand_over(struct reading *r)
{
    if (!r->pending || r->error != ERR_NONE) {
        return;
    }
    r->pending = false;
    struct ini_entry entry = {
        .file = r->file,
        .line = r->pending_line,
        .section = (const char *)r->section.data,
        .key = (const char *)r->key.data,
        .value = (const char *)r->value.data,
    };
    r->error = r->visitor->entry(r->visitor->ctx, &entry, r->text);
    r->error_line = r->pending_line;
}

static void join(struct reading *r, const char *more)
{
    const char *key = (const char *)r->key.data;
    if (!r->pending) {
        refuse(r, "an indented line continues a list, but no key stands above it: start the line "
                  "in the first column");
        return;
    }
    if (!r->visitor->is_list(r->visitor->ctx, key)) {
        refuse(r, "an indented line continues a list, but the key above it is not a list: start "
                  "the line in the first column");
        return;
    }
    ASSERT(r->value.size > 0 && r->value.data[r->value.size - 1] == '\0');
    r->value.size--;
    if (r->value.size > 0 && r->value.data[r->value.size - 1] != ',') {
        bytes_append(&r->value, ",", 1);
    }
    bytes_append(&r->value, more, strlen(more) + 1);
}

/* inih's handler. Returns 0 to have the line counted as wrong. */
static int on_pair(void *ctx, const char *section, const char *key, const char *value)
{
    struct reading *r = ctx;
    if (r->error != ERR_NONE) {
        return 0;
    }
    if (r->indented) {
        join(r, value); /* inih cuts the remembered key at 49 bytes: ours is whole */
        return r->error == ERR_NONE;
    }
    hand_over(r);
    if (r->error != ERR_NONE) {
        return 0;
    }
    if (key[0] == '\0') {
        refuse(r, "nothing stands before the '=': write KEY = VALUE");
        return 0;
    }
    store(&r->section, section);
    store(&r->key, key);
    store(&r->value, value);
    r->pending = true;
    r->pending_line = r->line;
    return 1;
}

enum err ini_read(const char *file, const char *data, size_t size,
                  const struct ini_visitor *visitor, struct err_text *text)
{
    ASSERT(visitor->is_list != NULL && visitor->entry != NULL);
    struct reading r = {
        .file = file,
        .at = data,
        .end = size > 0 ? data + size : data,
        .visitor = visitor,
        .text = text,
    };
    int wrong_line = ini_parse_stream(next_line, &r, on_pair, &r);
    if (wrong_line > 0 && (r.error == ERR_NONE || wrong_line < r.error_line)) {
        r.error = ERR_NONE;
        r.line = wrong_line;
        refuse(&r, "expected KEY = VALUE, [SECTION] or a comment that starts with #");
    }
    hand_over(&r);
    bytes_free(&r.section);
    bytes_free(&r.key);
    bytes_free(&r.value);
    return r.error;
}
