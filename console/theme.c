#include "console/theme.h"

#include "common/base/assert.h"

enum { RED = 1, YELLOW = 3, CYAN = 6, NONE = THEME_DEFAULT };

static const struct theme_look color[STYLE_COUNT] = {
    [STYLE_NORMAL] = {NONE, NONE, 0},
    [STYLE_DIM] = {NONE, NONE, THEME_DIM},
    [STYLE_TITLE] = {CYAN, NONE, THEME_BOLD},
    [STYLE_HEADING] = {NONE, NONE, THEME_BOLD | THEME_UNDERLINE},
    [STYLE_SELECTED] = {NONE, NONE, THEME_REVERSE},
    [STYLE_GOOD] = {CYAN, NONE, 0},
    [STYLE_WARNING] = {YELLOW, NONE, THEME_BOLD},
    [STYLE_CRITICAL] = {RED, NONE, THEME_BOLD},
    [STYLE_KEY] = {CYAN, NONE, THEME_BOLD},
    [STYLE_BAR] = {NONE, NONE, 0},
};

static const struct theme_look mono[STYLE_COUNT] = {
    [STYLE_NORMAL] = {NONE, NONE, 0},
    [STYLE_DIM] = {NONE, NONE, THEME_DIM},
    [STYLE_TITLE] = {NONE, NONE, THEME_BOLD},
    [STYLE_HEADING] = {NONE, NONE, THEME_BOLD | THEME_UNDERLINE},
    [STYLE_SELECTED] = {NONE, NONE, THEME_REVERSE},
    [STYLE_GOOD] = {NONE, NONE, 0},
    [STYLE_WARNING] = {NONE, NONE, THEME_BOLD},
    [STYLE_CRITICAL] = {NONE, NONE, THEME_BOLD | THEME_UNDERLINE},
    [STYLE_KEY] = {NONE, NONE, THEME_BOLD},
    [STYLE_BAR] = {NONE, NONE, 0},
};

struct theme_look theme_look_of(enum theme_palette palette, enum style style)
{
    ASSERT((int)style >= 0 && style < STYLE_COUNT);
    return palette == THEME_COLOR ? color[style] : mono[style];
}
