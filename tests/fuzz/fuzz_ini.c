/* An INI file of any bytes, read as broker settings: load, check, describe, resolve a topic. */
#include <stddef.h>
#include <stdint.h>

#include "broker/settings/broker_settings.h"
#include "common/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_line(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct broker_settings *bs = broker_settings_new();
    struct err_text text = {""};
    enum err error = broker_settings_load(bs, "fuzz.ini", (const char *)data, size, &text);
    ASSERT((error == ERR_NONE) == (text.text[0] == '\0'));
    if (error == ERR_NONE) {
        error = broker_settings_check(bs, &text);
        ASSERT((error == ERR_NONE) == (text.text[0] == '\0'));
    }
    if (error == ERR_NONE) {
        struct config_view view;
        broker_settings_warnings(bs, ignore_line, NULL);
        for (size_t i = 0; broker_config_at(bs, i, &view); i++) {
            ASSERT(!view.sensitive || view.value == NULL);
        }
        for (size_t i = 0; topic_config_at(bs, i, NULL, NULL, &view); i++) {
            ASSERT(view.name != NULL);
        }
        struct topic_settings topic = topic_settings_resolve(bs, NULL, NULL);
        ASSERT(topic.segment_bytes > 0);
    }
    broker_settings_free(bs);
    return 0;
}
