#include "console/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/base/assert.h"
#include "console/keys.h"

void prompt_open(struct prompt *p, char lead, const char *text, const char *const *words)
{
    memset(p, 0, sizeof *p);
    p->open = true;
    p->lead = lead;
    p->words = words;
    p->turn = -1;
    snprintf(p->text, sizeof p->text, "%s", text);
}

static void erase_char(struct prompt *p)
{
    size_t at = strlen(p->text);
    while (at > 0 && ((unsigned char)p->text[at - 1] & 0xc0) == 0x80) {
        at--;
    }
    p->text[at > 0 ? at - 1 : 0] = '\0';
}

static void erase_word(struct prompt *p)
{
    size_t at = strlen(p->text);
    while (at > 0 && p->text[at - 1] == ' ') {
        at--;
    }
    while (at > 0 && p->text[at - 1] != ' ') {
        at--;
    }
    p->text[at] = '\0';
}

static bool insert_char(struct prompt *p, int key)
{
    char bytes[16];
    mbstate_t state = {0};
    size_t at = strlen(p->text);
    if (key < ' ' || key == KEY_CODE_BACKSPACE || key >= KEY_CODE_FIRST_NAMED) {
        return false;
    }
    size_t size = wcrtomb(bytes, (wchar_t)key, &state);
    if (size == (size_t)-1 || at + size > PROMPT_MAX_BYTES) {
        return false;
    }
    memcpy(p->text + at, bytes, size);
    p->text[at + size] = '\0';
    return true;
}

/* Shows the next word, or the one before, that begins with what was typed; then the typed text
 * again. */
static bool complete(struct prompt *p, int step)
{
    if (p->words == NULL) {
        return false;
    }
    if (p->turn < 0) {
        memcpy(p->stem, p->text, sizeof p->stem);
    }
    const char *fits[64];
    int count = 0;
    for (int i = 0; p->words[i] != NULL && count < 64; i++) {
        if (strncmp(p->words[i], p->stem, strlen(p->stem)) == 0) {
            fits[count++] = p->words[i];
        }
    }
    if (count == 0) {
        return false;
    }
    int turn = p->turn < 0 && step < 0 ? count - 1 : p->turn + step;
    p->turn = turn >= count || turn < 0 ? -1 : turn;
    snprintf(p->text, sizeof p->text, "%s", p->turn < 0 ? p->stem : fits[p->turn]);
    return true;
}

enum prompt_event prompt_key(struct prompt *p, int key)
{
    ASSERT(p->open);
    if (key == KEY_CODE_TAB || key == KEY_CODE_BACKTAB) {
        return complete(p, key == KEY_CODE_TAB ? 1 : -1) ? PROMPT_EDITED : PROMPT_IGNORED;
    }
    p->turn = -1;
    switch (key) {
    case KEY_CODE_ENTER:
        p->open = false;
        return PROMPT_ACCEPTED;
    case KEY_CODE_ESCAPE:
    case KEY_CTRL('c'):
        p->open = false;
        return PROMPT_CANCELLED;
    case KEY_CODE_BACKSPACE:
    case KEY_CTRL('h'):
        if (p->text[0] == '\0') {
            p->open = false;
            return PROMPT_CANCELLED;
        }
        erase_char(p);
        return PROMPT_EDITED;
    case KEY_CTRL('w'):
        erase_word(p);
        return PROMPT_EDITED;
    case KEY_CTRL('u'):
        p->text[0] = '\0';
        return PROMPT_EDITED;
    default:
        return insert_char(p, key) ? PROMPT_EDITED : PROMPT_IGNORED;
    }
}
