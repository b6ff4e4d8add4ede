/* The first records of a cluster: its features, in one metadata transaction (KIP-868). */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

static void abort_left_over(const struct controller *controller, struct record_list *records)
{
    struct abort_transaction_record abort;
    wire_defaults(&wire_abort_transaction_record, &abort);
    abort.reason = wire_str("the controller changed");
    record_list_add(records, RECORD_ABORT_TRANSACTION, 0, &abort);
    trace_info(controller_trace(controller),
               "controller: aborts the metadata transaction its predecessor left open");
}

void bootstrap_records(const struct controller *controller, struct record_list *records)
{
    const struct image *image = controller->image;
    if (image_in_transaction(image)) {
        abort_left_over(controller, records);
    }
    if (image_feature_level(image, "metadata.version") > 0) {
        return;
    }
    struct begin_transaction_record begin;
    wire_defaults(&wire_begin_transaction_record, &begin);
    begin.name = wire_str("Bootstrap records");
    record_list_add(records, RECORD_BEGIN_TRANSACTION, 0, &begin);
    for (size_t i = 0; i < controller->config.feature_count; i++) {
        const struct controller_feature *feature = &controller->config.features[i];
        if (feature->bootstrap_level == 0) {
            continue;
        }
        struct feature_level_record level;
        wire_defaults(&wire_feature_level_record, &level);
        level.name = wire_str(feature->name);
        level.feature_level = feature->bootstrap_level;
        record_list_add(records, RECORD_FEATURE_LEVEL, 0, &level);
        trace_info(controller_trace(controller),
                   "controller: finalizes %s at %d: the cluster is new", feature->name,
                   feature->bootstrap_level);
    }
    struct end_transaction_record end;
    wire_defaults(&wire_end_transaction_record, &end);
    record_list_add(records, RECORD_END_TRANSACTION, 0, &end);
}
