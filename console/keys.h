/* keys: one table of keys, from which dispatch, the hint bar, `?` and the manual are made.
 *
 * A key is a code of our own: a Unicode character, KEY_CTRL(letter), or one of the names below.
 * screen.c translates from the terminal. */
#ifndef CONSOLE_KEYS_H
#define CONSOLE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    KEY_CODE_ESCAPE = 27,
    KEY_CODE_TAB = '\t',
    KEY_CODE_ENTER = '\n',
    KEY_CODE_BACKSPACE = 127,
    KEY_CODE_FIRST_NAMED = 0x110000, /* after the last Unicode character */
    KEY_CODE_UP = KEY_CODE_FIRST_NAMED,
    KEY_CODE_DOWN,
    KEY_CODE_LEFT,
    KEY_CODE_RIGHT,
    KEY_CODE_PAGE_UP,
    KEY_CODE_PAGE_DOWN,
    KEY_CODE_HOME,
    KEY_CODE_END,
    KEY_CODE_DELETE,
    KEY_CODE_BACKTAB,
    KEY_CODE_F1,
    KEY_CODE_UNKNOWN
};
#define KEY_CTRL(letter) ((letter)&0x1f)

enum request {
    REQUEST_NONE,
    REQUEST_UP,
    REQUEST_DOWN,
    REQUEST_PAGE_UP,
    REQUEST_PAGE_DOWN,
    REQUEST_FIRST,
    REQUEST_LAST,
    REQUEST_OPEN,
    REQUEST_BACK,
    REQUEST_PREVIOUS,
    REQUEST_VIEW_1, /* the six screens in the order of view_table() */
    REQUEST_VIEW_2,
    REQUEST_VIEW_3,
    REQUEST_VIEW_4,
    REQUEST_VIEW_5,
    REQUEST_VIEW_6,
    REQUEST_COMMAND,
    REQUEST_FILTER,
    REQUEST_WRONG,
    REQUEST_INTERNAL,
    REQUEST_SORT,
    REQUEST_SORT_INVERT,
    REQUEST_ELECT,
    REQUEST_MOVE,
    REQUEST_RESET,
    REQUEST_REFRESH,
    REQUEST_PAUSE,
    REQUEST_FASTER,
    REQUEST_SLOWER,
    REQUEST_REPAINT,
    REQUEST_HELP,
    REQUEST_QUIT
};

struct key_binding {
    enum request request;
    const char *label; /* a word or two, for the hint bar; never empty */
    const char *help;  /* a sentence, for `?` and the manual; never empty */
    int keys[4];       /* the first is the one shown in the hint bar; 0 ends the list */
    int hint;          /* order in the hint bar, 0 = not there */
};

/* Every binding, in the order of the help. */
const struct key_binding *keys_table(int *count);
enum request keys_lookup(int key);
/* "Ctrl+L", "Enter", "j". `out` holds at least 16 bytes. */
char *keys_name(int key, char out[16]);

/* NULL when the table is sound: no key twice, nothing empty, no request twice. Else what is wrong.
 */
const char *keys_check(const struct key_binding *table, int count);

#endif
