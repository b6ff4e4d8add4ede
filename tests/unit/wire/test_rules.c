/* The codec's rules one by one: headers, versions, nulls, tags, limits, the tables of APIs and
 * errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/wire/kafka_error.h"
#include "common/wire/messages.h"
#include "tests/unit/wire/hex.h"

static enum err decode_hex(const struct wire_message *m, int16_t version, const char *hex,
                           void *msg)
{
    struct bytes bytes = hex_bytes(hex);
    struct wire_in in = wire_in_of(bytes.data, bytes.size);
    struct arena arena = {0};
    enum err error = wire_decode(m, version, &in, msg, &arena);
    if (error == ERR_NONE) {
        assert_int_equal(wire_in_left(&in), 0);
    }
    arena_free(&arena);
    bytes_free(&bytes);
    return error;
}

/* ---- headers ---- */

static void check_request_header(int16_t key, int16_t version, const char *client, const char *hex)
{
    struct wire_request_header header = {key, version, 7, wire_str(client)};
    struct wire_out out = {0};
    wire_put_request_header(&out, &header);
    hex_assert(out.bytes.data, out.bytes.size, hex);
    struct wire_in in = wire_in_of(out.bytes.data, out.bytes.size);
    struct wire_request_header back;
    assert_int_equal(wire_get_request_header(&in, &back), ERR_NONE);
    assert_int_equal(wire_in_left(&in), 0);
    assert_int_equal(back.api_key, key);
    assert_int_equal(back.api_version, version);
    assert_int_equal(back.correlation_id, 7);
    assert_true(wire_str_equal(back.client_id, header.client_id));
    wire_out_free(&out);
}

static void test_request_headers(void **state)
{
    (void)state;
    check_request_header(WIRE_METADATA, 1, "abc", "0003 0001 00000007 0003 616263");
    check_request_header(WIRE_METADATA, 9, "abc", "0003 0009 00000007 0003 616263 00");
    check_request_header(WIRE_METADATA, 9, NULL, "0003 0009 00000007 ffff 00");
    check_request_header(WIRE_API_VERSIONS, 3, "", "0012 0003 00000007 0000 00");
}

static enum err get_request_header(const char *hex, struct wire_request_header *header)
{
    struct bytes bytes = hex_bytes(hex);
    struct wire_in in = wire_in_of(bytes.data, bytes.size);
    enum err error = wire_get_request_header(&in, header);
    bytes_free(&bytes);
    return error;
}

static void test_request_headers_refused(void **state)
{
    (void)state;
    struct wire_request_header h;
    assert_int_equal(get_request_header("0003 0009 00000007 ffff 01 05 02 aabb", &h), ERR_NONE);
    assert_int_equal(get_request_header("0012 0063 00000007 ffff", &h), ERR_UNSUPPORTED);
    assert_int_equal(h.api_key, 18);
    assert_int_equal(h.api_version, 99);
    assert_int_equal(h.correlation_id, 7);
    assert_int_equal(get_request_header("0003 ffff 00000007 ffff", &h), ERR_UNSUPPORTED);
    assert_int_equal(get_request_header("03e8 0000 00000007 ffff", &h), ERR_UNSUPPORTED);
    assert_int_equal(get_request_header("0003 0009 000000", &h), ERR_TRUNCATED);
    assert_int_equal(get_request_header("0003 0001 00000007 0004 616263", &h), ERR_TRUNCATED);
    assert_int_equal(get_request_header("0003 0001 00000007 fffe", &h), ERR_CORRUPT);
    /* Twenty million tags in a few bytes (CVE-2026-111115). */
    assert_int_equal(get_request_header("0003 0009 00000007 ffff 80dac409 0000 0100", &h),
                     ERR_CORRUPT);
    assert_int_equal(get_request_header("0003 0009 00000007 ffff 02 0500 0500", &h), ERR_CORRUPT);
    assert_int_equal(get_request_header("0003 0009 00000007 ffff 02 0500 0400", &h), ERR_CORRUPT);
}

static void test_response_headers(void **state)
{
    (void)state;
    static const struct {
        int16_t key, version;
        const char *hex;
    } rows[] = {
        {WIRE_METADATA, 8, "00000007"},       {WIRE_METADATA, 9, "00000007 00"},
        {WIRE_API_VERSIONS, 0, "00000007"},   {WIRE_API_VERSIONS, 4, "00000007"},
        {WIRE_SASL_HANDSHAKE, 1, "00000007"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_out out = {0};
        wire_put_response_header(&out, rows[i].key, rows[i].version, 7);
        hex_assert(out.bytes.data, out.bytes.size, rows[i].hex);
        struct wire_in in = wire_in_of(out.bytes.data, out.bytes.size);
        int32_t id = 0;
        assert_int_equal(wire_get_response_header(&in, rows[i].key, rows[i].version, &id),
                         ERR_NONE);
        assert_int_equal(id, 7);
        assert_int_equal(wire_in_left(&in), 0);
        wire_out_free(&out);
    }
}

/* ---- what a version cannot carry ---- */

static void test_encode_refuses(void **state)
{
    (void)state;
    struct wire_out out = {0};
    wire_put_i8(&out, 42);

    struct describe_cluster_request fenced;
    wire_defaults(&wire_describe_cluster_request, &fenced);
    fenced.include_fenced_brokers = true;
    assert_int_equal(wire_encode(&wire_describe_cluster_request, 1, &fenced, &out),
                     ERR_UNSUPPORTED);
    hex_assert(out.bytes.data, out.bytes.size, "2a");
    assert_int_equal(wire_encode(&wire_describe_cluster_request, 2, &fenced, &out), ERR_NONE);
    hex_assert(out.bytes.data, out.bytes.size, "2a 00 01 01 00");
    out.bytes.size = 1;

    struct api_versions_request ignorable = {wire_str("a"), wire_str("b")};
    assert_int_equal(wire_encode(&wire_api_versions_request, 0, &ignorable, &out), ERR_NONE);
    hex_assert(out.bytes.data, out.bytes.size, "2a");

    struct metadata_request null;
    wire_defaults(&wire_metadata_request, &null);
    null.topics.count = -1;
    assert_int_equal(wire_encode(&wire_metadata_request, 0, &null, &out), ERR_UNSUPPORTED);
    struct topic_record no_name = {WIRE_STR_NULL, uuid_zero()};
    assert_int_equal(wire_encode(&wire_topic_record, 0, &no_name, &out), ERR_UNSUPPORTED);

    char *text = mem_zalloc(32769);
    memset(text, 'a', 32768);
    struct topic_record long_name = {wire_str(text), uuid_zero()};
    assert_int_equal(wire_encode(&wire_topic_record, 0, &long_name, &out), ERR_UNSUPPORTED);
    hex_assert(out.bytes.data, out.bytes.size, "2a");
    text[32767] = '\0';
    long_name.name = wire_str(text);
    assert_int_equal(wire_encode(&wire_topic_record, 0, &long_name, &out), ERR_NONE);
    mem_free(text);
    wire_out_free(&out);
}

/* A range that is not in memory: its length is written, its place noted. */
static void test_splices(void **state)
{
    (void)state;
    int mark;
    struct fetch_response_partition partition;
    wire_struct_defaults(&wire_struct_fetch_response_partition, &partition);
    partition.records = (struct wire_records){NULL, 1000, &mark};
    struct fetch_response_response topic = {.topic = wire_str("t"),
                                            .partitions = {.items = &partition, .count = 1}};
    struct fetch_response response;
    wire_defaults(&wire_fetch_response, &response);
    response.responses.items = &topic;
    response.responses.count = 1;
    struct wire_out out = {0};
    assert_int_equal(wire_encode(&wire_fetch_response, 12, &response, &out), ERR_NONE);
    assert_int_equal(out.splice_count, 1);
    assert_ptr_equal(out.splices[0].splice, &mark);
    assert_int_equal(out.splices[0].size, 1000);
    assert_int_equal(out.spliced_bytes, 1000);
    size_t at = out.splices[0].at;
    hex_assert(out.bytes.data + at - 2, out.bytes.size - at + 2, "e907 00 00 00");
    size_t size = out.bytes.size;
    /* Refused for another reason, behind the splice: nothing of it stays. */
    response.node_endpoints.items = &(struct fetch_response_node_endpoint){.host = WIRE_STR_NULL};
    response.node_endpoints.count = 1;
    assert_int_equal(wire_encode(&wire_fetch_response, 16, &response, &out), ERR_UNSUPPORTED);
    assert_int_equal(out.splice_count, 1);
    assert_int_equal(out.spliced_bytes, 1000);
    assert_int_equal(out.bytes.size, size);
    wire_out_free(&out);
}

/* ---- what decoding refuses ---- */

static void test_tags(void **state)
{
    (void)state;
    struct topic_record topic;
    const struct wire_message *m = &wire_topic_record;
#define TOPIC "0274 00112233445566778899aabbccddeeff "
    assert_int_equal(decode_hex(m, 0, TOPIC "02 05 01 aa 07 00", &topic), ERR_NONE);
    assert_int_equal(topic.name.size, 1);
    assert_int_equal(decode_hex(m, 0, TOPIC "02 05 00 05 00", &topic), ERR_CORRUPT);
    assert_int_equal(decode_hex(m, 0, TOPIC "02 05 00 04 00", &topic), ERR_CORRUPT);
    assert_int_equal(decode_hex(m, 0, TOPIC "02 05 00", &topic), ERR_CORRUPT);
    assert_int_equal(decode_hex(m, 0, TOPIC "01 05 02 aa", &topic), ERR_CORRUPT);
    assert_int_equal(decode_hex(m, 0, TOPIC "ffffffffffffffffff01", &topic), ERR_CORRUPT);
    assert_int_equal(decode_hex(m, 0, TOPIC "ffffffffffffffffff02", &topic), ERR_CORRUPT);
    /* A known tag has to fill its size exactly. */
    struct partition_change_record change;
    m = &wire_partition_change_record;
#define CHANGE "00000001 00112233445566778899aabbccddeeff "
    assert_int_equal(decode_hex(m, 0, CHANGE "01 01 04 00000002", &change), ERR_NONE);
    assert_int_equal(change.leader, 2);
    assert_int_equal(change.isr.count, -1);
    assert_int_equal(decode_hex(m, 0, CHANGE "01 01 05 0000000200", &change), ERR_CORRUPT);
    assert_int_equal(decode_hex(m, 0, CHANGE "01 01 03 000000", &change), ERR_TRUNCATED);
    /* Tag 7 begins at version 2: before, it is one we do not know. */
    assert_int_equal(decode_hex(m, 0, CHANGE "01 07 05 02 00000003", &change), ERR_NONE);
    assert_int_equal(change.last_known_elr.count, -1);
    assert_int_equal(decode_hex(m, 2, CHANGE "01 07 05 02 00000003", &change), ERR_NONE);
    assert_int_equal(change.last_known_elr.count, 1);
}

static void test_lengths(void **state)
{
    (void)state;
    struct metadata_request metadata;
    const struct wire_message *m = &wire_metadata_request;
    assert_int_equal(decode_hex(m, 1, "ffffffff", &metadata), ERR_NONE);
    assert_int_equal(metadata.topics.count, -1);
    assert_int_equal(decode_hex(m, 0, "ffffffff", &metadata), ERR_CORRUPT); /* no null yet */
    assert_int_equal(decode_hex(m, 1, "fffffffe", &metadata), ERR_CORRUPT);
    /* Three topics in five bytes: each takes two at least. */
    assert_int_equal(decode_hex(m, 1, "00000003 0000 0000 00", &metadata), ERR_TRUNCATED);
    assert_int_equal(metadata.topics.count, 0);
    assert_int_equal(decode_hex(m, 1, "7fffffff 0000 0000", &metadata), ERR_TRUNCATED);
    assert_int_equal(decode_hex(m, 9, "8080808010 0000", &metadata), ERR_TRUNCATED);
    assert_int_equal(decode_hex(m, 9, "ffffffffffffffffff01 00", &metadata), ERR_TRUNCATED);
    assert_int_equal(decode_hex(m, 1, "00000001 ffff", &metadata), ERR_CORRUPT); /* name null */
    assert_int_equal(metadata.topics.count, 0); /* what was not read is not there */
    assert_int_equal(decode_hex(m, 1, "00000001 8000", &metadata), ERR_CORRUPT);
}

/* Which configurations: all of them when the array is null; no element of it is. */
static void test_nullable_arrays_have_no_null_elements(void **state)
{
    (void)state;
    struct describe_configs_request request;
    const struct wire_message *m = &wire_describe_configs_request;
    assert_int_equal(decode_hex(m, 1, "00000001 02 0001 74 ffffffff 00", &request), ERR_NONE);
    assert_int_equal(decode_hex(m, 1, "00000001 02 0001 74 00000001 0001 61 00", &request),
                     ERR_NONE);
    assert_int_equal(decode_hex(m, 1, "00000001 02 0001 74 00000001 ffff 00", &request),
                     ERR_CORRUPT);
    assert_int_equal(decode_hex(m, 4, "02 02 02 74 02 02 61 00 00 00 00", &request), ERR_NONE);
    assert_int_equal(decode_hex(m, 4, "02 02 02 74 02 00 00 00 00 00", &request), ERR_CORRUPT);
    struct wire_str null = WIRE_STR_NULL;
    struct describe_configs_request_resource resource = {
        .resource_name = wire_str("t"), .configuration_keys = {.items = &null, .count = 1}};
    wire_defaults(m, &request);
    request.resources.items = &resource;
    request.resources.count = 1;
    struct wire_out out = {0};
    assert_int_equal(wire_encode(m, 1, &request, &out), ERR_UNSUPPORTED);
    resource.configuration_keys.count = -1;
    assert_int_equal(wire_encode(m, 1, &request, &out), ERR_NONE);
    wire_out_free(&out);
}

static void test_compact_strings_have_a_limit(void **state)
{
    (void)state;
    struct bytes bytes = hex_bytes("818002"); /* 32768 + 1 */
    uint8_t *rest = bytes_extend(&bytes, 33000);
    memset(rest, 0, 33000);
    struct arena arena = {0};
    struct topic_record topic;
    struct wire_in in = wire_in_of(bytes.data, bytes.size);
    assert_int_equal(wire_decode(&wire_topic_record, 0, &in, &topic, &arena), ERR_CORRUPT);
    memcpy(bytes.data, "\x80\x80\x02", 3);
    in = wire_in_of(bytes.data, bytes.size);
    assert_int_equal(wire_decode(&wire_topic_record, 0, &in, &topic, &arena), ERR_NONE);
    assert_int_equal(topic.name.size, 32767);
    arena_free(&arena);
    bytes_free(&bytes);
}

/* Groups as many as the bytes can hold, and the first of them claims the same bytes for its topics:
 * each count is possible, both together would be 35 bytes of memory for each that was sent. */
static void test_nested_claims_are_bounded(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20, CLAIM = (SIZE - 16) / 3 };
    struct wire_out out = {0};
    wire_put_uvarint(&out, CLAIM + 1);
    wire_put_uvarint(&out, 1); /* a group without a name */
    wire_put_uvarint(&out, CLAIM + 1);
    uint8_t *rest = bytes_extend(&out.bytes, SIZE - out.bytes.size);
    memset(rest, 0, SIZE - 16);
    struct arena arena = {0};
    struct offset_fetch_request request;
    struct wire_in in = wire_in_of(out.bytes.data, SIZE);
    assert_int_equal(wire_decode(&wire_offset_fetch_request, 8, &in, &request, &arena),
                     ERR_TOO_LARGE);
    size_t most = (size_t)SIZE * WIRE_DECODE_BYTES_PER_BYTE + WIRE_DECODE_BYTES_EXTRA;
    assert_true(arena.used_bytes > (size_t)SIZE * 8 && arena.used_bytes <= most);
    arena_free(&arena);
    wire_out_free(&out);
}

/* A count that the bytes left cannot hold allocates nothing. */
static void test_false_counts_allocate_nothing(void **state)
{
    (void)state;
    static const char body[] = "\x00\x00\x00\x03\x00\x00\x00\x00\x00";
    struct arena arena = {0};
    struct metadata_request request;
    struct wire_in in = wire_in_of(body, sizeof body - 1);
    assert_int_equal(wire_decode(&wire_metadata_request, 1, &in, &request, &arena), ERR_TRUNCATED);
    assert_int_equal(arena.used_bytes, 0);
    arena_free(&arena);
}

static void test_varints(void **state)
{
    (void)state;
    static const int64_t values[] = {0,    -1,        1,         63,        -64,      64,
                                     8191, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct wire_out out = {0};
        wire_put_varint(&out, values[i]);
        wire_put_uvarint(&out, (uint64_t)values[i]);
        struct wire_in in = wire_in_of(out.bytes.data, out.bytes.size);
        assert_true(wire_get_varint(&in) == values[i]);
        assert_true(wire_get_uvarint(&in) == (uint64_t)values[i]);
        assert_int_equal(in.error, ERR_NONE);
        assert_int_equal(wire_in_left(&in), 0);
        wire_out_free(&out);
    }
    struct wire_in in = wire_in_of("\xAC\x02", 2);
    assert_int_equal(wire_get_uvarint(&in), 300);
    wire_get_i8(&in);
    assert_int_equal(in.error, ERR_TRUNCATED);
    in = wire_in_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    assert_true(wire_get_uvarint(&in) == UINT64_MAX);
    in = wire_in_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    assert_true(wire_get_uvarint(&in) == 0);
    assert_int_equal(in.error, ERR_CORRUPT);
}

/* ---- tables ---- */

static void test_apis(void **state)
{
    (void)state;
    size_t count;
    const struct wire_api *all = wire_api_all(&count);
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || all[i].key > all[i - 1].key);
        assert_ptr_equal(wire_api_of(all[i].key), &all[i]);
        assert_int_equal(wire_message_min(all[i].request), wire_message_min(all[i].response));
        assert_int_equal(wire_message_max(all[i].request), wire_message_max(all[i].response));
    }
    assert_null(wire_api_of(-1));
    assert_null(wire_api_of(7));
    assert_null(wire_api_of((int16_t)(all[count - 1].key + 1)));
    assert_null(wire_api_of(INT16_MAX));
    assert_string_equal(wire_api_of(WIRE_METADATA)->name, "Metadata");
    assert_int_equal(wire_api_advertised_min(wire_api_of(WIRE_PRODUCE)), 0);
    assert_int_equal(wire_message_min(&wire_produce_request), 3);
    assert_int_equal(wire_api_advertised_min(wire_api_of(WIRE_FETCH)), 4);
    assert_int_equal(wire_api_advertised_max(wire_api_of(WIRE_FETCH)), 18);
    assert_int_equal(wire_api_advertised_max(wire_api_of(WIRE_INIT_PRODUCER_ID)), 5);
    assert_ptr_equal(wire_record_of(WIRE_RECORD_TOPIC), &wire_topic_record);
    assert_null(wire_record_of(1000));
}

static void test_errors(void **state)
{
    (void)state;
    assert_string_equal(kafka_error_name(KAFKA_NONE), "NONE");
    assert_string_equal(kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
    assert_string_equal(kafka_error_name(133), "SHARE_SESSION_LIMIT_REACHED");
    assert_string_equal(kafka_error_name(134), "UNKNOWN_ERROR_CODE");
    assert_true(kafka_error_retriable(KAFKA_NOT_LEADER_OR_FOLLOWER));
    assert_true(kafka_error_retriable(KAFKA_SHARE_SESSION_LIMIT_REACHED));
    assert_false(kafka_error_retriable(KAFKA_UNKNOWN_SERVER_ERROR));
    assert_false(kafka_error_retriable(KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER));
    assert_false(kafka_error_retriable(134));
    assert_false(kafka_error_retriable(INT16_MIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_headers),
        cmocka_unit_test(test_request_headers_refused),
        cmocka_unit_test(test_response_headers),
        cmocka_unit_test(test_encode_refuses),
        cmocka_unit_test(test_splices),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_nullable_arrays_have_no_null_elements),
        cmocka_unit_test(test_compact_strings_have_a_limit),
        cmocka_unit_test(test_nested_claims_are_bounded),
        cmocka_unit_test(test_false_counts_allocate_nothing),
        cmocka_unit_test(test_varints),
        cmocka_unit_test(test_apis),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
