/* The terminal through ncursesw.
 *
 * Happy path: open /dev/tty for reading and for writing, newterm on those, cbreak without echo,
 * keys without waiting, Esc told from a sequence within 25 ms (or $ESCDELAY). Failure modes: no
 * terminal (said, with the way out); TERM unknown (fallbacks); the terminal goes away (read gives
 * EIO, EBADF, EPIPE or end of file: SCREEN_GONE); a slow line (TIOCOUTQ tells, frames are left
 * out); a crash (signal handler writes strings prepared at the start, nothing else). */
#include "console/screen.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "common/base/assert.h"
#include "common/base/mem.h"
#include "console/keys.h"
#include "console/text.h"

enum { BEHIND_BYTES = 4096, RESCUE_BYTES = 256 };

struct screen {
    SCREEN *curses;
    FILE *in;
    FILE *out;
    bool nowhere;
    enum theme_palette palette;
    int cursor_row;
    int cursor_column;
};

/* What a crash handler needs; it can be handed nothing. */
static struct {
    volatile sig_atomic_t armed;
    int fd;
    struct termios saved;
    char text[RESCUE_BYTES];
    size_t size;
} rescue;

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static void on_crash(int number)
{
    if (rescue.armed) {
        rescue.armed = 0;
        ssize_t ignored = write(rescue.fd, rescue.text, rescue.size);
        (void)ignored;
        tcsetattr(rescue.fd, TCSANOW, &rescue.saved);
    }
    raise(number); /* the handler was reset on entry: the default action follows */
}

static void rescue_add(const char *capability)
{
    /* tigetstr wants a plain char pointer and gives (char *)-1 for what is no string capability. */
    char name[16];
    snprintf(name, sizeof name, "%s", capability);
    const char *s = tigetstr(name);
    if (s == NULL || s == (const char *)-1) {
        return;
    }
    size_t size = strlen(s);
    if (rescue.size + size <= RESCUE_BYTES) {
        memcpy(rescue.text + rescue.size, s, size);
        rescue.size += size;
    }
}

static void rescue_arm(int fd, const struct termios *saved)
{
    rescue.fd = fd;
    rescue.saved = *saved;
    rescue.size = 0;
    rescue_add("sgr0");
    rescue_add("rmkx");
    rescue_add("cnorm");
    rescue_add("rmcup");
    rescue.armed = 1;
    struct sigaction action = {.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++) {
        sigaction(crash_signals[i], &action, NULL);
    }
}

static void rescue_disarm(void)
{
    rescue.armed = 0;
    for (size_t i = 0; i < sizeof crash_signals / sizeof *crash_signals; i++) {
        signal(crash_signals[i], SIG_DFL);
    }
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static void set_up_colors(const struct screen *s)
{
    if (s->palette != THEME_COLOR || !has_colors()) {
        return;
    }
    start_color();
    use_default_colors();
    for (int style = 0; style < STYLE_COUNT; style++) {
        struct theme_look look = theme_look_of(s->palette, (enum style)style);
        init_pair((short)(style + 1), (short)look.foreground, (short)look.background);
    }
}

static void set_up(struct screen *s)
{
    set_term(s->curses);
    if (getenv("ESCDELAY") == NULL) {
        set_escdelay(25);
    }
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    scrollok(stdscr, FALSE);
    intrflush(stdscr, FALSE);
    set_up_colors(s);
    s->cursor_row = -1;
    curs_set(0);
}

static SCREEN *new_terminal(FILE *in, FILE *out, struct err_text *notice)
{
    static const char *const fallbacks[] = {"xterm-256color", "vt100"};
    const char *wanted = getenv("TERM");
    if (wanted != NULL && wanted[0] != '\0') {
        SCREEN *curses = newterm(wanted, out, in);
        if (curses != NULL) {
            return curses;
        }
    }
    for (size_t i = 0; i < sizeof fallbacks / sizeof *fallbacks; i++) {
        SCREEN *curses = newterm(fallbacks[i], out, in);
        if (curses != NULL) {
            err_set(notice, "this system does not know TERM=%.60s; drawing for %s",
                    wanted == NULL ? "" : wanted, fallbacks[i]);
            return curses;
        }
    }
    return NULL;
}

static FILE *open_tty(int flags, const char *mode)
{
    int fd = open("/dev/tty", flags | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? NULL : fdopen(fd, mode);
}

enum err screen_open(enum theme_palette palette, struct screen **out, struct err_text *notice,
                     struct err_text *text)
{
    struct termios saved;
    struct screen *s = mem_zalloc(sizeof *s);
    s->palette = palette;
    s->in = open_tty(O_RDONLY, "r");
    s->out = open_tty(O_WRONLY, "w");
    err_set(notice, "%s", "");
    if (s->in == NULL || s->out == NULL || tcgetattr(fileno(s->in), &saved) != 0) {
        err_set(text,
                "no terminal to draw on (/dev/tty: %s); `barnabas --once overview` prints instead",
                strerror(errno));
        screen_close(s);
        return ERR_NOT_FOUND;
    }
    s->curses = new_terminal(s->in, s->out, notice);
    if (s->curses == NULL) {
        err_set(text,
                "neither TERM=%.60s nor xterm-256color nor vt100 is known to this system; "
                "install ncurses-base, or use `barnabas --once overview`",
                getenv("TERM") == NULL ? "" : getenv("TERM"));
        screen_close(s);
        return ERR_UNSUPPORTED;
    }
    set_up(s);
    rescue_arm(fileno(s->out), &saved);
    *out = s;
    return ERR_NONE;
}

struct screen *screen_open_nowhere(int rows, int columns)
{
    char text[16];
    struct screen *s = mem_zalloc(sizeof *s);
    s->nowhere = true;
    s->palette = THEME_MONO;
    snprintf(text, sizeof text, "%d", rows);
    setenv("LINES", text, 1);
    snprintf(text, sizeof text, "%d", columns);
    setenv("COLUMNS", text, 1);
    s->in = fopen("/dev/null", "re");
    s->out = fopen("/dev/null", "we");
    s->curses = newterm("vt100", s->out, s->in);
    ASSERT(s->curses != NULL);
    set_up(s);
    resizeterm(rows, columns);
    return s;
}

void screen_close(struct screen *s)
{
    if (s == NULL) {
        return;
    }
    if (s->curses != NULL) {
        set_term(s->curses);
        curs_set(1);
        endwin();
        if (!s->nowhere) {
            rescue_disarm();
        }
        delscreen(s->curses);
    }
    if (s->in != NULL) {
        fclose(s->in);
    }
    if (s->out != NULL) {
        fclose(s->out);
    }
    mem_free(s);
}

int screen_fd(const struct screen *s)
{
    return fileno(s->in);
}

int screen_rows(const struct screen *s)
{
    (void)s;
    return getmaxy(stdscr);
}

int screen_columns(const struct screen *s)
{
    (void)s;
    return getmaxx(stdscr);
}

/* ---- input ------------------------------------------------------------------------------------
 */

static int translate(wint_t code)
{
    static const struct {
        wint_t curses;
        int key;
    } named[] = {
        {KEY_UP, KEY_CODE_UP},         {KEY_DOWN, KEY_CODE_DOWN},
        {KEY_LEFT, KEY_CODE_LEFT},     {KEY_RIGHT, KEY_CODE_RIGHT},
        {KEY_PPAGE, KEY_CODE_PAGE_UP}, {KEY_NPAGE, KEY_CODE_PAGE_DOWN},
        {KEY_HOME, KEY_CODE_HOME},     {KEY_END, KEY_CODE_END},
        {KEY_DC, KEY_CODE_DELETE},     {KEY_BTAB, KEY_CODE_BACKTAB},
        {KEY_ENTER, KEY_CODE_ENTER},   {KEY_BACKSPACE, KEY_CODE_BACKSPACE},
        {KEY_F(1), KEY_CODE_F1},
    };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        if (named[i].curses == code) {
            return named[i].key;
        }
    }
    return KEY_CODE_UNKNOWN;
}

enum screen_input screen_next_key(struct screen *s, int *key)
{
    ASSERT(s->curses != NULL);
    for (;;) {
        wint_t code = 0;
        errno = 0;
        int got = wget_wch(stdscr, &code);
        if (got == ERR) {
            bool gone = errno == EIO || errno == EBADF || errno == EPIPE || errno == ENXIO;
            return gone ? SCREEN_GONE : SCREEN_EMPTY;
        }
        if (got == KEY_CODE_YES && code == KEY_RESIZE) {
            continue; /* SIGWINCH has told us already */
        }
        *key = got == KEY_CODE_YES ? translate(code) : code == '\r' ? KEY_CODE_ENTER : (int)code;
        return SCREEN_KEY;
    }
}

void screen_resized(struct screen *s)
{
    struct winsize size;
    if (ioctl(fileno(s->out), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        resizeterm(size.ws_row, size.ws_col);
    }
}

bool screen_is_behind(const struct screen *s)
{
    int waiting = 0;
    return ioctl(fileno(s->out), TIOCOUTQ, &waiting) == 0 && waiting > BEHIND_BYTES;
}

/* ---- output -----------------------------------------------------------------------------------
 */

static attr_t attributes_of(const struct screen *s, enum style style)
{
    struct theme_look look = theme_look_of(s->palette, style);
    attr_t a = A_NORMAL;
    a |= look.attributes & THEME_BOLD ? A_BOLD : A_NORMAL;
    a |= look.attributes & THEME_REVERSE ? A_REVERSE : A_NORMAL;
    a |= look.attributes & THEME_DIM ? A_DIM : A_NORMAL;
    a |= look.attributes & THEME_UNDERLINE ? A_UNDERLINE : A_NORMAL;
    return a;
}

static short pair_of(const struct screen *s, enum style style)
{
    return s->palette == THEME_COLOR && has_colors() ? (short)(style + 1) : (short)0;
}

void screen_begin(struct screen *s)
{
    werase(stdscr);
    s->cursor_row = -1;
}

int screen_put(struct screen *s, int row, int column, enum style style, const char *text)
{
    int columns = getmaxx(stdscr);
    if (row < 0 || row >= getmaxy(stdscr) || column < 0 || column >= columns) {
        return column;
    }
    char fitted[TEXT_MAX];
    int cells = text_cells(text);
    if (cells > columns - column) {
        text = text_fit(text, columns - column, TEXT_LEFT, fitted);
        cells = columns - column;
    }
    wattr_set(stdscr, attributes_of(s, style), pair_of(s, style), NULL);
    mvwaddnstr(stdscr, row, column, text, -1);
    wattr_set(stdscr, A_NORMAL, 0, NULL);
    return column + cells;
}

void screen_put_line(struct screen *s, int row, enum style style, const char *text)
{
    char fitted[TEXT_MAX];
    screen_put(s, row, 0, style, text_fit(text, getmaxx(stdscr), TEXT_LEFT, fitted));
}

void screen_restyle(struct screen *s, int row, int column, int cells, enum style style)
{
    mvwchgat(stdscr, row, column, cells, attributes_of(s, style), pair_of(s, style), NULL);
}

void screen_cursor(struct screen *s, int row, int column)
{
    s->cursor_row = row;
    s->cursor_column = column;
}

void screen_end(struct screen *s)
{
    if (s->cursor_row >= 0) {
        wmove(stdscr, s->cursor_row, s->cursor_column);
    }
    curs_set(s->cursor_row >= 0 ? 1 : 0);
    wnoutrefresh(stdscr);
    doupdate();
}

void screen_repaint(struct screen *s)
{
    ASSERT(s->curses != NULL);
    clearok(curscr, TRUE);
}

void screen_dump(struct screen *s, FILE *to)
{
    ASSERT(s->curses != NULL);
    for (int row = 0; row < getmaxy(stdscr); row++) {
        char line[4 * TEXT_MAX] = "";
        size_t at = 0;
        for (int column = 0; column < getmaxx(stdscr); column++) {
            cchar_t cell;
            wchar_t wide[CCHARW_MAX + 1] = {0};
            attr_t attributes = 0;
            short pair = 0;
            char bytes[MB_LEN_MAX * CCHARW_MAX + 1] = "";
            mvwin_wch(stdscr, row, column, &cell);
            getcchar(&cell, wide, &attributes, &pair, NULL);
            size_t size = wcstombs(bytes, wide, sizeof bytes - 1);
            if (size == (size_t)-1 || at + size >= sizeof line) {
                continue;
            }
            memcpy(line + at, bytes, size);
            at += size;
            column += wide[0] != 0 && wcwidth(wide[0]) == 2;
        }
        while (at > 0 && line[at - 1] == ' ') {
            at--;
        }
        fprintf(to, "%.*s\n", (int)at, line);
    }
}
