#include "console/text.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "common/base/assert.h"
#include "console/model.h"

static bool utf8;

void text_init(void)
{
    const char *codeset = nl_langinfo(CODESET);
    utf8 = strcmp(codeset, "UTF-8") == 0;
}

bool text_is_utf8(void)
{
    return utf8;
}

const char *glyph(enum glyph g)
{
    static const struct {
        const char *plain;
        const char *fine;
    } table[GLYPH_COUNT] = {
        [GLYPH_MISSING] = {"?", "\u2014"}, [GLYPH_DENIED] = {"denied", "\u2298"},
        [GLYPH_NONE] = {"none", "none"},   [GLYPH_ELLIPSIS] = {"~", "\u2026"},
        [GLYPH_UP] = {"^", "\u25b2"},      [GLYPH_DOWN] = {"v", "\u25bc"},
        [GLYPH_MARK] = {"*", "*"},         [GLYPH_BAR] = {"-", "\u2500"},
        [GLYPH_DOT] = {"|", "\u00b7"},
    };
    ASSERT((int)g >= 0 && g < GLYPH_COUNT);
    return utf8 ? table[g].fine : table[g].plain;
}

/* One character of `s`, made safe: its bytes in `out`, its width in *cells. Returns the bytes of
 * `s` it took, 0 at the end. */
static size_t next_char(const char *s, mbstate_t *state, char out[8], int *cells)
{
    if (*s == '\0') {
        return 0;
    }
    wchar_t wide = 0;
    size_t used = mbrtowc(&wide, s, strlen(s), state);
    if (used == (size_t)-1 || used == (size_t)-2 || used == 0 || used > 7) {
        memset(state, 0, sizeof *state);
        used = 1;
        wide = 0;
    }
    int width = wide == 0 ? -1 : wcwidth(wide);
    if (width <= 0) {
        memcpy(out, "?", 2);
        *cells = 1;
        return used;
    }
    memcpy(out, s, used);
    out[used] = '\0';
    *cells = width;
    return used;
}

int text_cells(const char *s)
{
    mbstate_t state = {0};
    char one[8];
    int cells = 0;
    int total = 0;
    for (size_t used = 0; (used = next_char(s, &state, one, &cells)) > 0; s += used) {
        total += cells;
    }
    return total;
}

/* Copies characters of `s` while they fit in `limit` cells and the buffer. Returns the cells taken;
 * *whole tells whether all of `s` went in. */
static int copy_cells(const char *s, int limit, char *out, size_t size, bool *whole)
{
    mbstate_t state = {0};
    char one[8];
    int cells = 0;
    int total = 0;
    size_t at = 0;
    size_t used = 0;
    while ((used = next_char(s, &state, one, &cells)) > 0) {
        size_t bytes = strlen(one);
        if (total + cells > limit || at + bytes + 1 > size) {
            break;
        }
        memcpy(out + at, one, bytes);
        at += bytes;
        total += cells;
        s += used;
    }
    out[at] = '\0';
    *whole = used == 0;
    return total;
}

enum { ROOM_FOR_PAD = 8 };

char *text_fit(const char *s, int cells, enum text_align align, char out[TEXT_MAX])
{
    ASSERT(cells >= 0);
    if (cells > TEXT_MAX - ROOM_FOR_PAD) {
        cells = TEXT_MAX - ROOM_FOR_PAD;
    }
    char body[TEXT_MAX];
    bool whole = true;
    int taken = copy_cells(s, cells, body, sizeof body - ROOM_FOR_PAD, &whole);
    if (!whole && cells > 0) {
        taken = copy_cells(s, cells - 1, body, sizeof body - ROOM_FOR_PAD, &whole);
        strcat(body, glyph(GLYPH_ELLIPSIS));
        taken++;
    }
    size_t bytes = strlen(body);
    size_t pad = (size_t)(cells - taken);
    if (pad > TEXT_MAX - 1 - bytes) {
        pad = TEXT_MAX - 1 - bytes;
    }
    char *at = out;
    if (align == TEXT_RIGHT) {
        memset(at, ' ', pad);
        at += pad;
    }
    memcpy(at, body, bytes);
    at += bytes;
    if (align == TEXT_LEFT) {
        memset(at, ' ', pad);
        at += pad;
    }
    *at = '\0';
    return out;
}

char *text_safe(const char *s, char out[TEXT_MAX])
{
    bool whole = true;
    copy_cells(s, TEXT_MAX, out, TEXT_MAX, &whole);
    return out;
}

size_t text_line(const char *safe, int cells)
{
    mbstate_t state = {0};
    char one[8];
    int width = 0;
    int total = 0;
    size_t at = 0;
    size_t blank = 0;
    size_t used = 0;
    while ((used = next_char(safe + at, &state, one, &width)) > 0) {
        if (total + width > cells && at > 0) {
            return blank > 0 ? blank : at;
        }
        at += used;
        total += width;
        blank = one[0] == ' ' ? at : blank;
    }
    return at;
}

static const char *mark_text(int64_t value)
{
    if (value == MODEL_DENIED) {
        return glyph(GLYPH_DENIED);
    }
    return glyph(value == MODEL_NONE ? GLYPH_NONE : GLYPH_MISSING);
}

char *text_number(int64_t value, char out[TEXT_MAX])
{
    if (model_known(value)) {
        snprintf(out, TEXT_MAX, "%" PRId64, value);
    } else {
        snprintf(out, TEXT_MAX, "%s", mark_text(value));
    }
    return out;
}

char *text_size(int64_t bytes, char out[TEXT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (!model_known(bytes)) {
        return text_number(bytes, out);
    }
    double shown = (double)bytes;
    size_t unit = 0;
    while (shown >= 1023.95 && unit + 1 < sizeof units / sizeof *units) {
        shown /= 1024;
        unit++;
    }
    if (unit == 0) {
        snprintf(out, TEXT_MAX, "%" PRId64 " B", bytes);
    } else {
        snprintf(out, TEXT_MAX, "%.1f %s", shown, units[unit]);
    }
    return out;
}

char *text_age(int64_t age_ms, char out[TEXT_MAX])
{
    int64_t s = age_ms < 0 ? 0 : age_ms / 1000;
    if (s < 120) {
        snprintf(out, TEXT_MAX, "%" PRId64 "s", s);
    } else if (s < 120 * 60) {
        snprintf(out, TEXT_MAX, "%" PRId64 "m", s / 60);
    } else if (s < 48 * 3600) {
        snprintf(out, TEXT_MAX, "%" PRId64 "h", s / 3600);
    } else {
        snprintf(out, TEXT_MAX, "%" PRId64 "d", s / 86400);
    }
    return out;
}

void text_add(char out[TEXT_MAX], const char *fmt, ...)
{
    size_t at = strlen(out);
    ASSERT(at < TEXT_MAX);
    va_list args;
    va_start(args, fmt);
    vsnprintf(out + at, TEXT_MAX - at, fmt, args);
    va_end(args);
}
