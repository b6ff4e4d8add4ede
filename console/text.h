/* text: strings as cells of a terminal.
 *
 * Everything that came from a cluster passes here before it is drawn or printed: control
 * characters, invalid bytes, and characters without a width of their own (bidirectional marks,
 * combining ones) become '?', so that no name can move the cursor, change colours or shift a
 * column. */
#ifndef CONSOLE_TEXT_H
#define CONSOLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEXT_MAX = 512 }; /* bytes that any one cell's text takes, NUL included */

/* Reads the locale that setlocale made current. Before that, plain ASCII is assumed. */
void text_init(void);
bool text_is_utf8(void);

enum glyph {
    GLYPH_MISSING,  /* could not be learnt */
    GLYPH_DENIED,   /* the cluster refused to tell */
    GLYPH_NONE,     /* there is none */
    GLYPH_ELLIPSIS, /* one cell: text was cut here */
    GLYPH_UP,       /* sorted ascending */
    GLYPH_DOWN,
    GLYPH_MARK, /* beside the leader */
    GLYPH_BAR,  /* one cell of a rule */
    GLYPH_DOT,  /* between parts of a line */
    GLYPH_COUNT
};
const char *glyph(enum glyph g);

/* Cells that `s` takes once made safe. */
int text_cells(const char *s);

enum text_align { TEXT_LEFT, TEXT_RIGHT };
/* Writes `s`, made safe, as exactly `cells` cells: cut with an ellipsis or padded with blanks.
 * Returns `out`, which must hold TEXT_MAX bytes; cells beyond what fits are left off. */
char *text_fit(const char *s, int cells, enum text_align align, char out[TEXT_MAX]);
/* The same without padding or a limit other than the buffer. */
char *text_safe(const char *s, char out[TEXT_MAX]);

/* Of text made safe: the bytes of its first line when lines have `cells` cells, broken at a blank
 * where there is one. At least one character, so that whoever goes on from there ends. 0 at the end
 * of the text. */
size_t text_line(const char *safe, int cells);

/* A number or its mark (model.h). */
char *text_number(int64_t value, char out[TEXT_MAX]);
/* 1023 B, 1.0 KiB, 4.2 GiB; or a mark. */
char *text_size(int64_t bytes, char out[TEXT_MAX]);
/* 0s, 59s, 12m, 3h, 9d. */
char *text_age(int64_t age_ms, char out[TEXT_MAX]);

/* Appends with printf, cutting at TEXT_MAX. */
void text_add(char out[TEXT_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
