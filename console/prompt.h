/* prompt: a line being typed at the bottom of the screen: `:` a command, `/` a filter.
 *
 * A state machine without a terminal: keys in, text out. */
#ifndef CONSOLE_PROMPT_H
#define CONSOLE_PROMPT_H

#include <stdbool.h>

enum { PROMPT_MAX_BYTES = 200 };

struct prompt {
    bool open;
    char lead;                       /* ':' or '/' */
    char text[PROMPT_MAX_BYTES + 1]; /* UTF-8 */
    const char *const *words;        /* what Tab completes to, ending with NULL; or NULL */
    char stem[PROMPT_MAX_BYTES + 1]; /* what was typed before the first Tab */
    int turn;                        /* which completion of the stem is shown, -1 = none */
};

enum prompt_event { PROMPT_EDITED, PROMPT_IGNORED, PROMPT_ACCEPTED, PROMPT_CANCELLED };

/* `text` is what stands there at first. `words` is borrowed while the prompt is open. */
void prompt_open(struct prompt *p, char lead, const char *text, const char *const *words);
/* The prompt must be open. After ACCEPTED and CANCELLED it is closed; the text stays readable. */
enum prompt_event prompt_key(struct prompt *p, int key);

#endif
