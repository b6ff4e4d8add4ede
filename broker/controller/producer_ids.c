/* AllocateProducerIds (KIP-730): blocks of a thousand, never handed out twice. */
#include <inttypes.h>

#include "broker/controller/controller_internal.h"
#include "common/wire/messages.h"

enum { PRODUCER_ID_BLOCK = 1000 };

void allocate_producer_ids_refuse(struct controller_call *call, int16_t error, const char *message)
{
    struct allocate_producer_ids_response *response = call->response;
    ASSERT(message != NULL);
    response->error_code = error;
}

void allocate_producer_ids_handle(struct controller *controller, struct controller_call *call,
                                  struct record_list *records)
{
    const struct allocate_producer_ids_request *request = call->request;
    struct allocate_producer_ids_response *response = call->response;
    const struct image_broker *broker = image_broker(controller->image, request->broker_id);
    if (broker == NULL || broker->epoch != request->broker_epoch) {
        response->error_code =
            broker == NULL ? KAFKA_BROKER_ID_NOT_REGISTERED : KAFKA_STALE_BROKER_EPOCH;
        return;
    }
    int64_t first = image_next_producer_id(controller->image);
    if (first > INT64_MAX - PRODUCER_ID_BLOCK) {
        trace_error(controller_trace(controller), "controller: producer ids are used up");
        response->error_code = KAFKA_UNKNOWN_SERVER_ERROR;
        return;
    }
    struct producer_ids_record record;
    wire_defaults(&wire_producer_ids_record, &record);
    record.broker_id = request->broker_id;
    record.broker_epoch = request->broker_epoch;
    record.next_producer_id = first + PRODUCER_ID_BLOCK;
    record_list_add(records, RECORD_PRODUCER_IDS, 0, &record);
    response->producer_id_start = first;
    response->producer_id_len = PRODUCER_ID_BLOCK;
    trace_info(controller_trace(controller),
               "controller: gives producer ids %" PRId64 " to %" PRId64 " to broker %" PRId32
               ": it asked",
               first, first + PRODUCER_ID_BLOCK - 1, request->broker_id);
}
