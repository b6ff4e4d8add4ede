#include "common/wire/kafka_error.h"

const char *kafka_error_name(int16_t code)
{
    switch (code) {
#define X(name, number, retriable)                                                                 \
    case number:                                                                                   \
        return #name;
        KAFKA_ERROR_TABLE(X)
#undef X
    default:
        return "UNKNOWN_ERROR_CODE";
    }
}

bool kafka_error_retriable(int16_t code)
{
    static const bool retriable[] = {
#define X(name, number, flag) [(number) + 1] = (flag),
        KAFKA_ERROR_TABLE(X)
#undef X
    };
    return code >= -1 && code + 1 < (int)(sizeof retriable) && retriable[code + 1];
}
