/* screen: the terminal. screen.c is the one file with curses calls, and one screen exists at a
 * time.
 *
 * It opens the terminal for itself (/dev/tty, twice), so that nothing it does to its descriptors
 * shows on those that the shell shares with us. An unknown TERM falls back to xterm-256color, then
 * vt100. Whatever way the process ends, the terminal is put back: screen_close on the ordinary
 * ways, a handler of its own on SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT.
 *
 * Drawing is between screen_begin and screen_end; only what differs from the terminal's present
 * content is sent. Text is cut at the right edge, never wrapped. Text must be safe (text.h). */
#ifndef CONSOLE_SCREEN_H
#define CONSOLE_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

#include "common/base/err.h"
#include "console/theme.h"

struct screen;

/* ERR_NOT_FOUND when there is no terminal, with what to do instead. `notice` gets a line for the
 * user when TERM had to be replaced, else "". */
enum err screen_open(enum theme_palette palette, struct screen **out, struct err_text *notice,
                     struct err_text *text);
/* A terminal of `rows` x `columns` that goes nowhere, for tests: the same drawing, read with
 * screen_dump. */
struct screen *screen_open_nowhere(int rows, int columns);
void screen_close(struct screen *s); /* NULL is allowed */

/* To be watched for input; our own, so it may be set non-blocking. */
int screen_fd(const struct screen *s);
int screen_rows(const struct screen *s);
int screen_columns(const struct screen *s);

enum screen_input { SCREEN_KEY, SCREEN_EMPTY, SCREEN_GONE };
/* The next key (keys.h) waiting. Call until it says SCREEN_EMPTY: there will not be a second
 * wake-up. SCREEN_GONE: the terminal is no more. */
enum screen_input screen_next_key(struct screen *s, int *key);
/* Takes over the terminal's present size. */
void screen_resized(struct screen *s);
/* The terminal has not yet taken what was drawn before: leave out this frame. */
bool screen_is_behind(const struct screen *s);

void screen_begin(struct screen *s);
/* Returns the column after the text. Out of range is ignored. */
int screen_put(struct screen *s, int row, int column, enum style style, const char *text);
/* Puts the text and gives the rest of the row the same style. */
void screen_put_line(struct screen *s, int row, enum style style, const char *text);
/* Gives `cells` cells from there another style. */
void screen_restyle(struct screen *s, int row, int column, int cells, enum style style);
/* Where the cursor stands after screen_end; row -1 hides it. */
void screen_cursor(struct screen *s, int row, int column);
void screen_end(struct screen *s);
/* Sends everything anew at the next screen_end. */
void screen_repaint(struct screen *s);

/* What is on the screen, a line a row, without trailing blanks. */
void screen_dump(struct screen *s, FILE *to);

#endif
