/* Bytes over an open connection: frames in, pieces and file ranges out, pausing, bad frames, ends.
 */
#include "tests/unit/net/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void frames_of_every_size_arrive_whole_and_in_order(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,     4,      100,    4095,   16380,   16384, 16385,
                                   65536, 262144, 262145, 300000, 3 << 20, 2};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    struct fixture *f = fixture_new();
    fixture_connect(f);
    for (int i = 0; i < SIZES; i++) {
        side_send(&f->client, sizes[i], (uint8_t)i);
    }
    UNTIL(f, f->server.frames == SIZES);
    for (int i = 0; i < SIZES; i++) {
        assert_int_equal(f->server.kept[i]->size, sizes[i]);
        assert_pattern(f->server.kept[i]->data, sizes[i], 0, (uint8_t)i);
    }
    fixture_free(f);
}

static void many_small_frames_in_one_write(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    for (int i = 0; i < FRAMES_KEPT; i++) {
        side_send(&f->client, (size_t)(i % 50) + 1, (uint8_t)i);
    }
    assert_int_equal(f->server.frames, 0);
    UNTIL(f, f->server.frames == FRAMES_KEPT);
    for (int i = 0; i < FRAMES_KEPT; i++) {
        assert_int_equal(f->server.kept[i]->size, (i % 50) + 1);
        assert_pattern(f->server.kept[i]->data, (size_t)(i % 50) + 1, 0, (uint8_t)i);
    }
    fixture_free(f);
}

static void one_round_gives_a_bounded_number_of_frames(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    int fd = fixture_raw(f);
    uint8_t wire[500 * 5];
    for (int i = 0; i < 500; i++) {
        memcpy(wire + i * 5, "\0\0\0\1x", 5);
    }
    assert_int_equal(write(fd, wire, sizeof wire), sizeof wire);
    int most = 0;
    while (f->server.frames < 500) {
        int before = f->server.frames;
        uv_run(&f->loop, UV_RUN_ONCE);
        int got = f->server.frames - before;
        most = got > most ? got : most;
    }
    /* A round may serve the connection twice: its left-over frames, and what polling found. */
    assert_in_range(most, 1, 128);
    close(fd);
    fixture_free(f);
}

/* ---- file ranges ---- */

static int make_file(size_t size, uint8_t seed)
{
    char path[] = "/tmp/barnabas-net-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    struct buf *b = pattern(size, seed);
    size_t at = 0;
    while (at < size) {
        ssize_t n = write(fd, b->data + at, size - at);
        assert_true(n > 0);
        at += (size_t)n;
    }
    buf_unref(b);
    return fd;
}

static void count_release(void *owner)
{
    *(int *)owner += 1;
}

struct slow {
    uv_timer_t timer;
    struct side *side;
    bool paused;
};

static void on_slow(uv_timer_t *timer)
{
    struct slow *s = timer->data;
    s->paused = !s->paused;
    if (s->side->conn != NULL) {
        net_conn_pause(s->side->conn, s->paused);
    }
}

static void ten_megabytes_of_a_file_over_a_slow_reader(void **state)
{
    (void)state;
    enum { SIZE = 10 << 20, FROM = 12345 };
    struct fixture *f = fixture_new();
    fixture_connect(f);
    int fd = make_file(SIZE + FROM + 100, 3);
    int released = 0;
    uint8_t length[4];
    length_of(SIZE + 10, length);
    struct net_piece pieces[] = {
        piece_of(buf_copy(length, 4)),
        piece_of(buf_copy("12345", 5)),
        {.fd = fd, .at = FROM, .size = SIZE, .release = count_release, .owner = &released},
        piece_of(buf_copy("67890", 5)),
    };
    net_send(f->server.conn, pieces, 4);
    assert_int_equal(net_conn_queued(f->server.conn), SIZE + 14);
    assert_int_equal(released, 0);
    struct slow slow = {.side = &f->client};
    uv_timer_init(&f->loop, &slow.timer);
    slow.timer.data = &slow;
    uv_timer_start(&slow.timer, on_slow, 1, 1);
    UNTIL(f, f->client.frames == 1 && f->server.drained == 1);
    assert_int_equal(released, 1);
    const struct buf *got = f->client.kept[0];
    assert_int_equal(got->size, SIZE + 10);
    assert_memory_equal(got->data, "12345", 5);
    assert_pattern(got->data + 5, SIZE, FROM, 3);
    assert_memory_equal(got->data + 5 + SIZE, "67890", 5);
    uv_close((uv_handle_t *)&slow.timer, NULL);
    close(fd);
    fixture_free(f);
}

static void a_file_shorter_than_its_range_ends_the_connection(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    int fd = make_file(1000, 1);
    int released = 0;
    uint8_t length[4];
    length_of(2000, length);
    struct net_piece pieces[] = {
        piece_of(buf_copy(length, 4)),
        {.fd = fd, .at = 0, .size = 2000, .release = count_release, .owner = &released},
        {.fd = fd, .at = 0, .size = 10, .release = count_release, .owner = &released},
    };
    net_send(f->server.conn, pieces, 3);
    UNTIL(f, f->server.closed && f->client.closed);
    assert_int_equal(f->server.reason, ERR_TRUNCATED);
    assert_non_null(strstr(f->server.why, "ends at or before 1000, 1000 bytes short"));
    assert_int_equal(released, 2);
    assert_int_equal(f->client.frames, 0);
    close(fd);
    fixture_free(f);
}

/* ---- bad frames ---- */

static void bad_length(const char *wire, enum err reason, const char *words)
{
    struct fixture *f = fixture_new();
    int fd = fixture_raw(f);
    assert_int_equal(write(fd, "\0\0\0\3abc", 7), 7);
    assert_int_equal(write(fd, wire, 4), 4);
    assert_int_equal(write(fd, "rest", 4), 4);
    UNTIL(f, f->server.closed);
    assert_int_equal(f->server.frames, 1);
    assert_int_equal(f->server.reason, reason);
    if (strstr(f->server.why, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->server.why, words);
    }
    close(fd);
    fixture_free(f);
}

static void an_oversized_frame_closes_with_the_number(void **state)
{
    (void)state;
    bad_length("\x7f\xff\xff\xff", ERR_TOO_LARGE, "2147483647");
}

static void a_negative_length_closes(void **state)
{
    (void)state;
    bad_length("\xff\xff\xff\xff", ERR_INVALID, "-1");
}

static void frames_before_a_half_close_are_delivered(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    int fd = fixture_raw(f);
    assert_int_equal(write(fd, "\0\0\0\1a\0\0\0\1b\0\0\0\5cut", 17), 17);
    shutdown(fd, SHUT_WR);
    UNTIL(f, f->server.closed);
    assert_int_equal(f->server.frames, 2);
    assert_int_equal(f->server.reason, ERR_CLOSED);
    assert_string_equal(f->server.why, "peer closed the connection");
    close(fd);
    fixture_free(f);
}

static void a_reset_is_told(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    int fd = fixture_raw(f);
    struct linger hard = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    assert_int_equal(write(fd, "\0\0\0\1a", 5), 5);
    UNTIL(f, f->server.frames == 1);
    close(fd);
    UNTIL(f, f->server.closed);
    assert_int_equal(f->server.reason, ERR_CLOSED);
    assert_string_equal(f->server.why, "connection lost: Connection reset by peer");
    fixture_free(f);
}

static void what_came_before_a_reset_is_delivered(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    int fd = fixture_raw(f);
    struct linger hard = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    uint8_t wire[200 * 5];
    for (int i = 0; i < 200; i++) {
        memcpy(wire + i * 5, "\0\0\0\1a", 5);
    }
    assert_int_equal(write(fd, wire, sizeof wire), sizeof wire);
    close(fd);
    UNTIL(f, f->server.closed);
    assert_int_equal(f->server.frames, 200);
    assert_string_equal(f->server.why, "connection lost: Connection reset by peer");
    fixture_free(f);
}

/* ---- pausing ---- */

static void pause_at_third(struct side *side, struct buf *frame)
{
    buf_unref(frame);
    if (side->frames == 3) {
        net_conn_pause(side->conn, true);
    }
}

static void nothing_is_delivered_while_paused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    int fd = fixture_raw(f);
    f->server.on_frame = pause_at_third;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(write(fd, "\0\0\0\1a", 5), 5);
    }
    UNTIL(f, f->server.frames == 3);
    assert_int_equal(write(fd, "\0\0\0\1a\0\0\0\1b", 10), 10);
    fixture_spin(f, 20);
    assert_int_equal(f->server.frames, 3);
    f->server.on_frame = NULL;
    net_conn_pause(f->server.conn, false);
    assert_int_equal(f->server.frames, 3); /* not from inside the call */
    UNTIL(f, f->server.frames == 12);
    assert_int_equal(f->server.kept[11]->data[0], 'b');
    close(fd);
    fixture_free(f);
}

static void a_paused_reader_stops_the_writer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    net_conn_pause(f->server.conn, true);
    for (int i = 0; i < 16; i++) {
        side_send(&f->client, 1 << 20, (uint8_t)i);
    }
    fixture_spin(f, 100);
    assert_int_equal(f->server.frames, 0);
    assert_true(net_conn_queued(f->client.conn) > NET_QUEUE_HIGH);
    assert_int_equal(f->client.drained, 0);
    net_conn_pause(f->server.conn, false);
    UNTIL(f, f->server.frames == 16 && f->client.drained == 1);
    assert_int_equal(net_conn_queued(f->client.conn), 0);
    fixture_free(f);
}

static void nothing_is_sent_from_inside_the_call(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    side_send(&f->client, 10, 1);
    assert_int_equal(net_conn_queued(f->client.conn), 14);
    UNTIL(f, f->server.frames == 1);
    assert_int_equal(net_conn_queued(f->client.conn), 0);
    assert_int_equal(f->client.drained, 0); /* never was high */
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_every_size_arrive_whole_and_in_order),
        cmocka_unit_test(many_small_frames_in_one_write),
        cmocka_unit_test(one_round_gives_a_bounded_number_of_frames),
        cmocka_unit_test(ten_megabytes_of_a_file_over_a_slow_reader),
        cmocka_unit_test(a_file_shorter_than_its_range_ends_the_connection),
        cmocka_unit_test(an_oversized_frame_closes_with_the_number),
        cmocka_unit_test(a_negative_length_closes),
        cmocka_unit_test(frames_before_a_half_close_are_delivered),
        cmocka_unit_test(a_reset_is_told),
        cmocka_unit_test(what_came_before_a_reset_is_delivered),
        cmocka_unit_test(nothing_is_delivered_while_paused),
        cmocka_unit_test(a_paused_reader_stops_the_writer),
        cmocka_unit_test(nothing_is_sent_from_inside_the_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
