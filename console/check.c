#include "console/check.h"

#include "console/json.h"
#include "console/once.h"
#include "console/text.h"

enum { PARTS = 1u << MODEL_CLUSTER | 1u << MODEL_CONFIGS | 1u << MODEL_QUORUM };

int check_status(const struct model *m)
{
    struct model_reason reasons[MODEL_MAX_REASONS];
    enum model_verdict verdict = model_judge(m);
    int count = model_reasons(m, reasons);
    bool unread = count > 0 && reasons[count - 1].severity == MODEL_VERDICT_UNKNOWN;
    if (verdict == MODEL_VERDICT_CRITICAL) {
        return CHECK_CRITICAL;
    }
    if (verdict == MODEL_VERDICT_UNKNOWN || unread) {
        return CHECK_UNKNOWN;
    }
    return verdict == MODEL_VERDICT_WARNING ? CHECK_WARNING : CHECK_OK;
}

void check_print(const struct model *m, enum output_format format, FILE *to)
{
    struct model_reason reasons[MODEL_MAX_REASONS];
    char safe[TEXT_MAX];
    int count = model_reasons(m, reasons);
    if (format == FORMAT_JSON) {
        json_print_check(m, to);
        return;
    }
    fprintf(to, "%-8s  cluster %s\n", model_verdict_name(model_judge(m)),
            m->cluster_id == NULL ? glyph(GLYPH_MISSING) : text_safe(m->cluster_id, safe));
    for (int i = 0; i < count; i++) {
        const struct model_reason *r = &reasons[i];
        fprintf(to, "%-8s  %s", model_verdict_name(r->severity), text_safe(r->what, safe));
        if (r->count > 0) {
            fprintf(to, ": %lld", (long long)r->count);
        }
        fprintf(to, "%s%s\n", r->advice[0] == '\0' ? "" : "; ", r->advice);
    }
}

static bool healthy(const struct model *m)
{
    return check_status(m) == CHECK_OK;
}

int check_run(const struct options *o)
{
    const struct model *m = NULL;
    char why[ONCE_WHY_BYTES];
    if (once_ask(o, PARTS, o->wait_healthy ? healthy : NULL, &m, why) != 0) {
        return CHECK_UNKNOWN;
    }
    if (m == NULL) {
        fprintf(stderr, "barnabas: %s\n", why);
        return CHECK_UNKNOWN;
    }
    int status = check_status(m);
    check_print(m, o->format, stdout);
    model_unref(m);
    return fflush(stdout) == 0 ? status : CHECK_UNKNOWN;
}
