/* barnabas: the operator console. */
#include <locale.h>
#include <stdio.h>

#include "console/app.h"
#include "console/check.h"
#include "console/once.h"
#include "console/options.h"
#include "console/perform.h"
#include "console/text.h"

static int help(const struct options *o)
{
    struct bytes page = {0};
    if (!o->man) {
        options_help(stdout);
        return 0;
    }
    options_man(&page);
    fwrite(page.data, 1, page.size, stdout);
    bytes_free(&page);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options o;
    struct err_text text;
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C"); /* JSON and numbers read alike everywhere */
    text_init();
    if (options_parse(argc, argv, &o, &text) != ERR_NONE) {
        fprintf(stderr, "barnabas: %s\n", text.text);
        return 2;
    }
    if (o.help) {
        return help(&o);
    }
    if (o.version) {
        printf("barnabas %s\n", BARNABAS_VERSION);
        return 0;
    }
    if (o.command != COMMAND_NONE) {
        return perform_run(&o);
    }
    if (o.check) {
        return check_run(&o);
    }
    return o.once ? once_run(&o) : app_run(&o);
}
