/* theme: what a style looks like. Pure data; screen.c turns it into attributes.
 *
 * No meaning hangs on colour alone: whatever is coloured also says so in words or by bold, reverse
 * or underline, so that NO_COLOR, monochrome terminals and colour-blind eyes lose nothing. The
 * palette is the eight colours every terminal has; red and green never stand against each other. */
#ifndef CONSOLE_THEME_H
#define CONSOLE_THEME_H

enum style {
    STYLE_NORMAL,
    STYLE_DIM,
    STYLE_TITLE,    /* name of the screen, cluster */
    STYLE_HEADING,  /* column titles */
    STYLE_SELECTED, /* the row under the cursor */
    STYLE_GOOD,
    STYLE_WARNING,
    STYLE_CRITICAL,
    STYLE_KEY, /* a key in the hint bar and the help */
    STYLE_BAR, /* status line and hint bar */
    STYLE_COUNT
};

enum { THEME_DEFAULT = -1 }; /* the terminal's own colour */
enum { THEME_BOLD = 1, THEME_REVERSE = 2, THEME_DIM = 4, THEME_UNDERLINE = 8 };

struct theme_look {
    int foreground; /* 0..7 as ANSI numbers them, or THEME_DEFAULT */
    int background;
    unsigned attributes;
};

enum theme_palette { THEME_COLOR, THEME_MONO };
struct theme_look theme_look_of(enum theme_palette palette, enum style style);

#endif
