/* How connections begin and end: dialling, closing, accepting under stress. */
#include "tests/unit/net/fixture.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- dialling ---- */

/* In place of the C library's: names of two addresses, whatever the machine's hosts file says. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    static const struct {
        const char *name;
        const char *addresses[2];
    } names[] = {{"second-listens", {"127.0.0.2", "127.0.0.1"}},
                 {"first-refuses", {"127.0.0.2", "255.255.255.255"}},
                 {"first-unreachable", {"255.255.255.255", "127.0.0.2"}}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(host, names[i].name) == 0) {
            int rc = real(names[i].addresses[0], port, hints, out);
            return rc != 0 ? rc : real(names[i].addresses[1], port, hints, &(*out)->ai_next);
        }
    }
    return real(host, port, hints, out);
}

static void every_address_of_a_name_is_tried(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    side_dial(&f->client, "second-listens", net_listener_port(f->listener));
    UNTIL(f, f->client.connected && f->accepted);
    assert_int_equal(f->client.closed, 0);
    fixture_free(f);
}

static void one_refusal_outweighs_the_unreachable(void **state)
{
    (void)state;
    static const char *const hosts[] = {"first-refuses", "first-unreachable"};
    for (int i = 0; i < 2; i++) {
        struct fixture *f = fixture_new();
        side_dial(&f->client, hosts[i], net_listener_port(f->listener));
        UNTIL(f, f->client.closed);
        assert_int_equal(f->client.reason, ERR_REFUSED);
        assert_non_null(strstr(f->client.why, "Connection refused"));
        fixture_free(f);
    }
}

static void a_refused_dial_is_told_later_and_by_name(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    uint16_t port = net_listener_port(f->listener);
    net_unlisten(f->listener);
    side_dial(&f->client, "127.0.0.1", port);
    UNTIL(f, f->client.closed);
    assert_int_equal(f->client.connected, 0);
    assert_int_equal(f->client.reason, ERR_REFUSED);
    char words[128];
    snprintf(words, sizeof words, "connect to 127.0.0.1:%u: Connection refused", (unsigned)port);
    assert_string_equal(f->client.why, words);
    fixture_free(f);
}

static void a_refused_dial_of_a_name_is_refused_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    uint16_t port = net_listener_port(f->listener);
    net_unlisten(f->listener);
    side_dial(&f->client, "localhost", port);
    UNTIL(f, f->client.closed);
    assert_int_equal(f->client.reason, ERR_REFUSED);
    fixture_free(f);
}

static void a_name_is_resolved(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    side_dial(&f->client, "localhost", net_listener_port(f->listener));
    side_send(&f->client, 5, 9); /* queued before the way is open */
    UNTIL(f, f->client.connected && f->server.frames == 1);
    assert_pattern(f->server.kept[0]->data, 5, 0, 9);
    fixture_free(f);
}

static void an_unknown_name_is_unreachable(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    side_dial(&f->client, "no such host", 9092);
    UNTIL(f, f->client.closed);
    assert_int_equal(f->client.reason, ERR_UNREACHABLE);
    assert_non_null(strstr(f->client.why, "connect to no such host:9092: "));
    fixture_free(f);
}

static struct side visitors[16]; /* accepted, and nobody looks at */
static int visitor_count;

static void *visit(struct fixture *f, struct net_conn *conn)
{
    assert_true(visitor_count < 16);
    struct side *side = &visitors[visitor_count++];
    *side = (struct side){.f = f, .conn = conn};
    return side;
}

static void a_dial_can_be_closed_at_any_stage(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    struct fixture *f = fixture_new();
    visitor_count = 0;
    f->on_accept = visit;
    for (int stage = 0; stage < 8; stage++) {
        struct side *side = &f->client;
        side_dial(side, hosts[stage % 2], net_listener_port(f->listener));
        fixture_spin(f, stage / 2);
        side_close(side, stage % 4 > 1);
        fixture_spin(f, 10);
        assert_int_equal(side->closed, 0);
        *side = (struct side){.f = f};
    }
    for (int i = 0; i < visitor_count; i++) {
        UNTIL(f, visitors[i].closed);
    }
    assert_true(visitor_count > 0);
    fixture_free(f);
}

/* ---- closing ---- */

/* The peer reads nothing before it has written everything: unless its bytes are taken, neither side
 * gets on; and a plain close on bytes nobody read would be a reset. */
static void a_flushing_close_loses_nothing_though_the_peer_still_sends(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    net_conn_pause(f->client.conn, true);
    for (int i = 0; i < 15; i++) {
        side_send(&f->client, 1 << 20, 1);
    }
    for (int i = 0; i < 5; i++) {
        side_send(&f->server, 1 << 20, (uint8_t)i);
    }
    side_close(&f->server, true);
    UNTIL(f, f->client.drained);
    net_conn_pause(f->client.conn, false);
    UNTIL(f, f->client.closed);
    assert_int_equal(f->client.frames, 5);
    for (int i = 0; i < 5; i++) {
        assert_pattern(f->client.kept[i]->data, 1 << 20, 0, (uint8_t)i);
    }
    assert_string_equal(f->client.why, "peer closed the connection");
    assert_int_equal(f->server.closed, 0);
    assert_int_equal(f->server.frames, 0);
    fixture_free(f);
}

static void a_plain_close_drops_the_queue(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    fixture_connect(f);
    struct buf *b = pattern(1000, 1);
    struct net_piece p = piece_of(buf_ref(b));
    net_send(f->server.conn, &p, 1);
    side_close(&f->server, false);
    assert_int_equal(atomic_load(&b->refs), 1);
    buf_unref(b);
    UNTIL(f, f->client.closed);
    assert_int_equal(f->client.frames, 0);
    assert_int_equal(f->server.closed, 0);
    fixture_free(f);
}

static void close_at_second(struct side *side, struct buf *frame)
{
    buf_unref(frame);
    if (side->frames == 2) {
        side_close(side, false);
    }
}

static void no_event_follows_a_close_from_inside_an_event(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    int fd = fixture_raw(f);
    f->server.on_frame = close_at_second;
    assert_int_equal(write(fd, "\0\0\0\1a\0\0\0\1b\0\0\0\1c\0\0\0\1d", 20), 20);
    UNTIL(f, f->server.conn == NULL);
    fixture_spin(f, 10);
    assert_int_equal(f->server.frames, 2);
    assert_int_equal(f->server.closed, 0);
    close(fd);
    fixture_free(f);
}

static void draining_sends_what_is_queued(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    int idle = fixture_raw(f);
    f->server.conn = NULL; /* keep the second as `server` */
    int fd = fixture_raw(f);
    side_send(&f->server, 1000, 4);
    net_drain(f->net, 5000);
    f->server.conn = NULL;
    UNTIL(f, net_drained(f->net));
    uint8_t got[2000];
    size_t size = 0;
    ssize_t n;
    while ((n = read(fd, got + size, sizeof got - size)) > 0) {
        size += (size_t)n;
    }
    assert_int_equal(n, 0);
    assert_int_equal(size, 1004);
    assert_pattern(got + 4, 1000, 0, 4);
    assert_int_equal(read(idle, got, 1), 0);
    close(fd);
    close(idle);
    fixture_free(f);
}

/* ---- accepting ---- */

enum { MANY = 1000 };

struct crowd {
    struct side *sides;
    int count;
};

static struct crowd crowd;

static void echo(struct side *side, struct buf *frame)
{
    uint8_t length[4];
    length_of((uint32_t)frame->size, length);
    struct net_piece pieces[] = {piece_of(buf_copy(length, 4)), piece_of(frame)};
    net_send(side->conn, pieces, 2);
}

static void *join_crowd(struct fixture *f, struct net_conn *conn)
{
    struct side *side = &crowd.sides[crowd.count++];
    *side = (struct side){.f = f, .conn = conn, .on_frame = echo};
    return side;
}

static int echoed(const struct side *clients)
{
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        n += clients[i].frames;
    }
    return n;
}

static void a_thousand_connections_echo(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct side *clients = mem_array(MANY, sizeof *clients);
    crowd = (struct crowd){.sides = mem_array(MANY, sizeof *clients)};
    f->on_accept = join_crowd;
    for (int i = 0; i < MANY; i++) {
        clients[i].f = f;
        side_dial(&clients[i], "127.0.0.1", net_listener_port(f->listener));
        side_send(&clients[i], 100, (uint8_t)i);
    }
    UNTIL(f, echoed(clients) == MANY);
    assert_int_equal(f->accepted, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(clients[i].frames, 1);
        assert_pattern(clients[i].kept[0]->data, 100, 0, (uint8_t)i);
        buf_unref(clients[i].kept[0]);
    }
    fixture_free(f);
    mem_free(clients);
    mem_free(crowd.sides);
}

static int rounds_seen;

static void count_round(uv_check_t *check)
{
    (void)check;
    rounds_seen++;
}

static void without_descriptors_accepting_rests_and_recovers(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    uv_check_t check;
    uv_check_init(&f->loop, &check);
    uv_check_start(&check, count_round);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = fixture_raw_waiting(f);
    int lowest_free = dup(0);
    close(lowest_free);
    struct rlimit none = {.rlim_cur = (rlim_t)lowest_free, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t start = uv_now(&f->loop);
    rounds_seen = 0;
    UNTIL(f, uv_now(&f->loop) - start >= 350);
    assert_int_equal(f->accepted, 0);
    assert_int_equal(f->lines, 1);
    assert_non_null(strstr(f->line, "accept: Too many open files"));
    assert_in_range(rounds_seen, 1, 40);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    UNTIL(f, f->accepted == 1);
    close(fd);
    uv_close((uv_handle_t *)&check, NULL);
    fixture_free(f);
}

static void *refuse(struct fixture *f, struct net_conn *conn)
{
    (void)f;
    net_close(conn, false);
    return NULL;
}

static void accepted_may_close(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->on_accept = refuse;
    side_dial(&f->client, "127.0.0.1", net_listener_port(f->listener));
    UNTIL(f, f->client.closed);
    assert_int_equal(f->accepted, 1);
    fixture_free(f);
}

static void *unlisten_and_keep(struct fixture *f, struct net_conn *conn)
{
    net_unlisten(f->listener);
    f->listener = NULL;
    f->server.conn = conn;
    return &f->server;
}

static void accepted_may_unlisten(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    uint16_t port = net_listener_port(f->listener);
    f->on_accept = unlisten_and_keep;
    side_dial(&f->client, "127.0.0.1", port);
    UNTIL(f, f->client.connected && f->accepted == 1);
    side_send(&f->client, 3, 1);
    UNTIL(f, f->server.frames == 1);
    fixture_free(f);
}

static void a_port_in_use_is_told_by_name(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct net_service service = {
        .events = &side_events, .max_frame_bytes = 100, .accepted = fixture_accepted, .ctx = f};
    struct net_listener *second = NULL;
    struct err_text text;
    uint16_t port = net_listener_port(f->listener);
    assert_int_equal(net_listen(f->net, "127.0.0.1", port, &service, &second, &text), ERR_IN_USE);
    char words[128];
    snprintf(words, sizeof words, "listen on 127.0.0.1:%u: Address already in use", (unsigned)port);
    assert_string_equal(text.text, words);
    assert_int_equal(net_listen(f->net, "192.0.2.1", 0, &service, &second, &text), ERR_UNREACHABLE);
    assert_int_equal(net_listen(f->net, "no such host", 0, &service, &second, &text),
                     ERR_UNREACHABLE);
    assert_non_null(strstr(text.text, "listen on no such host:0: "));
    fixture_free(f);
}

static void every_interface_takes_ipv4_peers_by_their_ipv4_name(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static const char *const hosts[] = {"", "0.0.0.0", "localhost"};
    visitor_count = 0;
    f->on_accept = visit;
    for (int i = 0; i < 3; i++) {
        net_unlisten(f->listener);
        struct net_service service = {
            .events = &side_events, .max_frame_bytes = 100, .accepted = fixture_accepted, .ctx = f};
        struct err_text text;
        assert_int_equal(net_listen(f->net, hosts[i], 0, &service, &f->listener, &text), ERR_NONE);
        int fd = fixture_raw(f); /* the fixture compares the peer's host */
        close(fd);
    }
    assert_int_equal(visitor_count, 3);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_dial_is_told_later_and_by_name),
        cmocka_unit_test(a_refused_dial_of_a_name_is_refused_too),
        cmocka_unit_test(a_name_is_resolved),
        cmocka_unit_test(every_address_of_a_name_is_tried),
        cmocka_unit_test(one_refusal_outweighs_the_unreachable),
        cmocka_unit_test(an_unknown_name_is_unreachable),
        cmocka_unit_test(a_dial_can_be_closed_at_any_stage),
        cmocka_unit_test(a_flushing_close_loses_nothing_though_the_peer_still_sends),
        cmocka_unit_test(a_plain_close_drops_the_queue),
        cmocka_unit_test(no_event_follows_a_close_from_inside_an_event),
        cmocka_unit_test(draining_sends_what_is_queued),
        cmocka_unit_test(a_thousand_connections_echo),
        cmocka_unit_test(without_descriptors_accepting_rests_and_recovers),
        cmocka_unit_test(accepted_may_close),
        cmocka_unit_test(accepted_may_unlisten),
        cmocka_unit_test(a_port_in_use_is_told_by_name),
        cmocka_unit_test(every_interface_takes_ipv4_peers_by_their_ipv4_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
