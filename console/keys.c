#include "console/keys.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "common/base/assert.h"

static const struct key_binding table[] = {
    {REQUEST_OPEN, "open", "open what the cursor is on", {KEY_CODE_ENTER, KEY_CODE_RIGHT}, 1},
    {REQUEST_BACK,
     "back",
     "clear the filter, else go back to the screen before",
     {KEY_CODE_ESCAPE, KEY_CODE_LEFT},
     2},
    {REQUEST_PREVIOUS, "previous", "go back to the screen before, filter or not", {'-'}, 0},
    {REQUEST_DOWN, "down", "one row down", {'j', KEY_CODE_DOWN}, 0},
    {REQUEST_UP, "up", "one row up", {'k', KEY_CODE_UP}, 0},
    {REQUEST_PAGE_DOWN, "page down", "one page down", {KEY_CODE_PAGE_DOWN, KEY_CTRL('f'), ' '}, 0},
    {REQUEST_PAGE_UP, "page up", "one page up", {KEY_CODE_PAGE_UP, KEY_CTRL('b')}, 0},
    {REQUEST_FIRST, "first", "the first row", {'g', KEY_CODE_HOME}, 0},
    {REQUEST_LAST, "last", "the last row", {'G', KEY_CODE_END}, 0},
    {REQUEST_VIEW_1, "overview", "screen: the cluster as a whole", {'1'}, 0},
    {REQUEST_VIEW_2, "brokers", "screen: brokers", {'2'}, 0},
    {REQUEST_VIEW_3, "topics", "screen: topics", {'3'}, 0},
    {REQUEST_VIEW_4,
     "partitions",
     "screen: partitions with leader, ISR and follower lag",
     {'4'},
     0},
    {REQUEST_VIEW_5, "groups", "screen: consumer groups with members and lag", {'5'}, 0},
    {REQUEST_VIEW_6, "quorum", "screen: the metadata quorum", {'6'}, 0},
    {REQUEST_COMMAND,
     "command",
     "type a command: a screen's name, interval SECONDS, quit; Tab completes",
     {':'},
     4},
    {REQUEST_FILTER,
     "filter",
     "keep rows that match a regular expression; !RE keeps the others",
     {'/'},
     3},
    {REQUEST_WRONG, "only wrong", "keep only rows with something wrong, or all again", {'!'}, 6},
    {REQUEST_INTERNAL,
     "internal",
     "show or hide internal topics (names beginning with __)",
     {'i'},
     0},
    {REQUEST_SORT, "sort", "sort by the next column", {'s'}, 5},
    {REQUEST_SORT_INVERT, "invert", "turn the order of the sort round", {'S'}, 0},
    {REQUEST_ELECT,
     "elect",
     "elect preferred leaders, of what the cursor is on: shows what will change; only y agrees",
     {'e'},
     7},
    {REQUEST_MOVE,
     "move",
     "move the partition's replicas to other brokers: type which; only y agrees",
     {'m'},
     12},
    {REQUEST_RESET,
     "reset offsets",
     "reset the group's committed offsets: type where to, see what will change; only y agrees",
     {'o'},
     11},
    {REQUEST_REFRESH, "refresh", "ask the cluster now", {'r'}, 0},
    {REQUEST_PAUSE, "pause", "stop asking the cluster, or go on", {'Z'}, 9},
    {REQUEST_FASTER, "faster", "ask twice as often", {'+'}, 0},
    {REQUEST_SLOWER, "slower", "ask half as often", {'_'}, 0},
    {REQUEST_REPAINT, "repaint", "draw the whole screen again", {KEY_CTRL('l')}, 0},
    {REQUEST_HELP, "help", "this help, or back from it", {'?', KEY_CODE_F1}, 8},
    {REQUEST_QUIT, "quit", "leave", {'q', KEY_CTRL('c')}, 10},
};

const struct key_binding *keys_table(int *count)
{
    *count = (int)(sizeof table / sizeof *table);
    return table;
}

enum request keys_lookup(int key)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int k = 0; k < 4 && table[i].keys[k] != 0; k++) {
            if (table[i].keys[k] == key) {
                return table[i].request;
            }
        }
    }
    return REQUEST_NONE;
}

char *keys_name(int key, char out[16])
{
    static const struct {
        int key;
        const char *name;
    } named[] = {
        {KEY_CODE_ESCAPE, "Esc"},
        {KEY_CODE_TAB, "Tab"},
        {KEY_CODE_ENTER, "Enter"},
        {KEY_CODE_UP, "Up"},
        {KEY_CODE_DOWN, "Down"},
        {KEY_CODE_LEFT, "Left"},
        {KEY_CODE_RIGHT, "Right"},
        {KEY_CODE_PAGE_UP, "PgUp"},
        {KEY_CODE_PAGE_DOWN, "PgDn"},
        {KEY_CODE_HOME, "Home"},
        {KEY_CODE_END, "End"},
        {KEY_CODE_DELETE, "Del"},
        {KEY_CODE_BACKTAB, "Shift+Tab"},
        {KEY_CODE_F1, "F1"},
        {KEY_CODE_BACKSPACE, "Backspace"},
        {' ', "Space"},
    };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (named[i].key == key) {
            snprintf(out, 16, "%s", named[i].name);
            return out;
        }
    }
    ASSERT(key > 0 && key < 127); /* the table binds nothing else */
    if (key < ' ') {
        snprintf(out, 16, "Ctrl+%c", key + 'A' - 1);
    } else {
        snprintf(out, 16, "%c", key);
    }
    return out;
}

static bool is_empty(const char *s)
{
    return s == NULL || s[strspn(s, " ")] == '\0';
}

static bool binds(const struct key_binding *b, int key)
{
    for (int k = 0; k < 4 && b->keys[k] != 0; k++) {
        if (b->keys[k] == key) {
            return true;
        }
    }
    return false;
}

static const char *check_pair(const struct key_binding *a, const struct key_binding *b)
{
    if (a->request == b->request) {
        return "a request is bound twice";
    }
    if (a->hint != 0 && a->hint == b->hint) {
        return "two hints claim one place";
    }
    for (int k = 0; k < 4 && a->keys[k] != 0; k++) {
        if (binds(b, a->keys[k])) {
            return "a key is bound twice";
        }
    }
    return NULL;
}

const char *keys_check(const struct key_binding *bindings, int count)
{
    for (int i = 0; i < count; i++) {
        if (is_empty(bindings[i].label) || is_empty(bindings[i].help)) {
            return "a label or help is empty";
        }
        if (bindings[i].request == REQUEST_NONE || bindings[i].keys[0] == 0) {
            return "a binding lacks its request or its key";
        }
        for (int j = i + 1; j < count; j++) {
            const char *wrong = check_pair(&bindings[i], &bindings[j]);
            if (wrong != NULL) {
                return wrong;
            }
        }
    }
    return NULL;
}
