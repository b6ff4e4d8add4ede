/* Messages beside their bytes, written by hand from the rules of the protocol (KIP-482 and the
 * field lists of each API): the codec is held against something that is not the codec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/messages.h"
#include "tests/unit/wire/hex.h"
#include "tests/unit/wire/walk.h"

#define ID    "00112233445566778899aabbccddeeff"
#define NO_ID "00000000000000000000000000000000"
#define ONE(x)                                                                                     \
    {                                                                                              \
        .items = (x), .count = 1                                                                   \
    }

static const struct uuid some_id = {{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
                                     0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}};

/* Both ways: `msg` is those bytes, and those bytes are `msg`. */
static void check(const struct wire_message *m, int16_t version, const void *msg, const char *hex)
{
    struct wire_out out = {0};
    assert_int_equal(wire_encode(m, version, msg, &out), ERR_NONE);
    hex_assert(out.bytes.data, out.bytes.size, hex);
    struct bytes bytes = hex_bytes(hex);
    struct wire_in in = wire_in_of(bytes.data, bytes.size);
    struct arena arena = {0};
    void *back = arena_alloc(&arena, wire_message_size(m));
    assert_int_equal(wire_decode(m, version, &in, back, &arena), ERR_NONE);
    assert_int_equal(wire_in_left(&in), 0);
    const char *differs = walk_difference(m, msg, back);
    if (differs != NULL) {
        fail_msg("%s %d: %s", wire_message_name(m), version, differs);
    }
    arena_free(&arena);
    bytes_free(&bytes);
    wire_out_free(&out);
}

static void test_api_versions(void **state)
{
    (void)state;
    struct api_versions_request request = {wire_str("b"), wire_str("1")};
    check(&wire_api_versions_request, 3, &request, "0262 0231 00");

    struct api_versions_response_api_key key = {18, 0, 4};
    struct api_versions_response response;
    wire_defaults(&wire_api_versions_response, &response);
    response.api_keys.items = &key;
    response.api_keys.count = 1;
    check(&wire_api_versions_response, 0, &response, "0000 00000001 0012 0000 0004");

    struct api_versions_response_finalized_feature feature = {wire_str("kraft.version"), 1, 0};
    response.throttle_time_ms = 5;
    response.finalized_features_epoch = 7;
    response.finalized_features.items = &feature;
    response.finalized_features.count = 1;
    check(&wire_api_versions_response, 3, &response,
          "0000 02 0012 0000 0004 00 00000005"
          "02 01 08 0000000000000007"
          "02 14 02 0e 6b726166742e76657273696f6e 0001 0000 00");
}

static void test_metadata_request(void **state)
{
    (void)state;
    struct metadata_request_topic topic = {.name = wire_str("t")};
    struct metadata_request request;
    wire_defaults(&wire_metadata_request, &request);
    request.topics.count = -1;
    check(&wire_metadata_request, 1, &request, "ffffffff");
    request.topics.items = &topic;
    request.topics.count = 1;
    check(&wire_metadata_request, 1, &request, "00000001 0001 74");
    request.include_topic_authorized_operations = true;
    check(&wire_metadata_request, 9, &request, "02 0274 00 01 00 01 00");
    topic = (struct metadata_request_topic){.topic_id = some_id, .name = WIRE_STR_NULL};
    request.include_topic_authorized_operations = false;
    request.allow_auto_topic_creation = false;
    check(&wire_metadata_request, 12, &request, "02 " ID " 00 00 00 00 00");
}

static void test_metadata_response(void **state)
{
    (void)state;
    int32_t replicas[] = {1};
    struct metadata_response_broker broker = {1, wire_str("h"), 9092, WIRE_STR_NULL};
    struct metadata_response_partition partition;
    wire_struct_defaults(&wire_struct_metadata_response_partition, &partition);
    partition.leader_id = 1;
    partition.replica_nodes.items = replicas;
    partition.replica_nodes.count = 1;
    partition.isr_nodes.items = replicas;
    partition.isr_nodes.count = 1;
    struct metadata_response_topic topic;
    wire_struct_defaults(&wire_struct_metadata_response_topic, &topic);
    topic.name = wire_str("t");
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    struct metadata_response response;
    wire_defaults(&wire_metadata_response, &response);
    response.brokers.items = &broker;
    response.brokers.count = 1;
    response.controller_id = 1;
    response.topics.items = &topic;
    response.topics.count = 1;
    check(&wire_metadata_response, 1, &response,
          "00000001 00000001 0001 68 00002384 ffff 00000001"
          "00000001 0000 0001 74 00"
          "00000001 0000 00000000 00000001 00000001 00000001 00000001 00000001");
    check(&wire_metadata_response, 9, &response,
          "00000000 02 00000001 0268 00002384 00 00 00 00000001"
          "02 0000 0274 00"
          "02 0000 00000000 00000001 ffffffff 02 00000001 02 00000001 01 00"
          "80000000 00 80000000 00");
    topic.error_code = 3;
    topic.name = WIRE_STR_NULL;
    topic.topic_id = some_id;
    topic.partitions.count = 0;
    response.cluster_id = wire_str("c");
    check(&wire_metadata_response, 12, &response,
          "00000000 02 00000001 0268 00002384 00 00 0263 00000001"
          "02 0003 00 " ID " 00 01 80000000 00 00");
}

static void test_fetch_request(void **state)
{
    (void)state;
    struct fetch_request_partition partition;
    wire_struct_defaults(&wire_struct_fetch_request_partition, &partition);
    partition.partition = 2;
    partition.fetch_offset = 5;
    partition.partition_max_bytes = 1 << 20;
    struct fetch_request_topic topic = {.topic = wire_str("t"), .partitions = ONE(&partition)};
    struct fetch_request request;
    wire_defaults(&wire_fetch_request, &request);
    request.max_wait_ms = 500;
    request.min_bytes = 1;
    request.isolation_level = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    check(&wire_fetch_request, 4, &request,
          "ffffffff 000001f4 00000001 7fffffff 01"
          "00000001 0001 74 00000001 00000002 0000000000000005 00100000");
    request.cluster_id = wire_str("cc");
    partition.current_leader_epoch = 3;
    partition.last_fetched_epoch = 2;
    check(&wire_fetch_request, 12, &request,
          "ffffffff 000001f4 00000001 7fffffff 01 00000000 ffffffff"
          "02 0274 02 00000002 00000003 0000000000000005 00000002 ffffffffffffffff 00100000 00 00"
          "01 01 01 00 03 036363");
    request.replica_state.replica_id = 4;
    topic = (struct fetch_request_topic){.topic_id = some_id, .partitions = ONE(&partition)};
    check(&wire_fetch_request, 15, &request,
          "000001f4 00000001 7fffffff 01 00000000 ffffffff"
          "02 " ID " 02 00000002 00000003 0000000000000005 00000002 ffffffffffffffff 00100000 00 00"
          "01 01 02 00 03 036363 01 0d 00000004 ffffffffffffffff 00");
}

static void test_fetch_response(void **state)
{
    (void)state;
    static const uint8_t data[] = {0xaa, 0xbb, 0xcc};
    struct fetch_response_partition partition;
    wire_struct_defaults(&wire_struct_fetch_response_partition, &partition);
    partition.high_watermark = 8;
    partition.last_stable_offset = 7;
    partition.aborted_transactions.count = -1;
    partition.records = (struct wire_records){data, 3, NULL};
    struct fetch_response_response topic = {.topic = wire_str("t"), .partitions = ONE(&partition)};
    struct fetch_response response;
    wire_defaults(&wire_fetch_response, &response);
    response.responses.items = &topic;
    response.responses.count = 1;
    check(&wire_fetch_response, 4, &response,
          "00000000 00000001 0001 74 00000001 00000000 0000 0000000000000008 0000000000000007"
          "ffffffff 00000003 aabbcc");
    partition.log_start_offset = 6;
    partition.diverging_epoch.epoch = 2;
    partition.diverging_epoch.end_offset = 10;
    check(&wire_fetch_response, 12, &response,
          "00000000 0000 00000000 02 0274 02 00000000 0000"
          "0000000000000008 0000000000000007 0000000000000006 00 ffffffff 04 aabbcc"
          "01 00 0d 00000002 000000000000000a 00 00 00");
}

static void test_produce(void **state)
{
    (void)state;
    static const uint8_t data[] = {0xaa, 0xbb, 0xcc};
    struct produce_request_partition partition = {0, {data, 3, NULL}};
    struct produce_request_topic topic = {.name = wire_str("t"), .partition_data = ONE(&partition)};
    struct produce_request request = {
        .transactional_id = WIRE_STR_NULL, .acks = -1, .timeout_ms = 30000};
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    check(&wire_produce_request, 3, &request,
          "ffff ffff 00007530 00000001 0001 74 00000001 00000000 00000003 aabbcc");
    check(&wire_produce_request, 9, &request,
          "00 ffff 00007530 02 0274 02 00000000 04 aabbcc 00 00 00");
    partition.records = (struct wire_records){NULL, -1, NULL};
    check(&wire_produce_request, 3, &request,
          "ffff ffff 00007530 00000001 0001 74 00000001 00000000 ffffffff");
}

static void test_nullable_struct(void **state)
{
    (void)state;
    struct describe_topic_partitions_request_topic topic = {wire_str("t")};
    struct describe_topic_partitions_request_cursor cursor = {wire_str("t"), 3};
    struct describe_topic_partitions_request request = {ONE(&topic), 2000, NULL};
    check(&wire_describe_topic_partitions_request, 0, &request, "02 0274 00 000007d0 ff 00");
    request.cursor = &cursor;
    check(&wire_describe_topic_partitions_request, 0, &request,
          "02 0274 00 000007d0 01 0274 00000003 00 00");
}

static void test_records(void **state)
{
    (void)state;
    struct topic_record topic = {wire_str("t"), some_id};
    check(&wire_topic_record, 0, &topic, "0274 " ID " 00");
    struct partition_change_record change;
    wire_defaults(&wire_partition_change_record, &change);
    change.partition_id = 1;
    change.leader = 2;
    check(&wire_partition_change_record, 0, &change, "00000001 " NO_ID " 01 01 04 00000002");
    struct offset_commit_key key = {wire_str("g"), wire_str("t"), 1};
    check(&wire_offset_commit_key, 0, &key, "0001 67 0001 74 00000001");
    struct end_txn_marker marker = {6};
    check(&wire_end_txn_marker, 0, &marker, "00000006");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api_versions),      cmocka_unit_test(test_metadata_request),
        cmocka_unit_test(test_metadata_response), cmocka_unit_test(test_fetch_request),
        cmocka_unit_test(test_fetch_response),    cmocka_unit_test(test_produce),
        cmocka_unit_test(test_nullable_struct),   cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
