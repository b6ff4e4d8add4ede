/* network: the cables and the switch between network namespaces, for tests: one end of a veth pair
 * for each place, frames carried by this program. tc's netem does the same for links, but not every
 * kernel has it, and a switch of the kernel has no cut from one place to another.
 *
 *   network INTERFACE...
 *
 * Reads lines from stdin; places count from 0, a line is in force when it is echoed on stdout:
 *
 *   FROM TO LOSS DELAY JITTER      of the way from one place to another
 *
 * LOSS in percent (100: cut), DELAY and JITTER (added by chance) in milliseconds. Frames of one way
 * never overtake each other. Ends with the end of stdin.
 *
 * Nothing is known of what frames hold but the two addresses in front; a place learns its address
 * from what it sends. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PLACES = 8, FRAME_BYTES = 65536, QUEUE_FRAMES = 10000, BURST = 64 };

struct frame {
    STAILQ_ENTRY(frame) next;
    int64_t due_us;
    size_t size;
    unsigned char bytes[];
};

struct way {
    double loss;
    int64_t delay_us;
    int64_t jitter_us;
    int64_t last_us; /* when the last frame is due */
    int queued;
    STAILQ_HEAD(, frame) frames;
};

static int sockets[PLACES];
static unsigned char addresses[PLACES][ETH_ALEN];
static struct way ways[PLACES][PLACES];
static int places;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static double chance(void)
{
    return (double)random() / ((double)RAND_MAX + 1);
}

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "network: %s %s: %s\n", what, name, strerror(errno));
    exit(1);
}

static int open_interface(const char *name)
{
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
    int yes = 1;
    int room = 4 << 20;
    if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) != 0) {
        fail("watch", name);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    at.sll_ifindex = (int)if_nametoindex(name);
    if (at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        fail("bind to", name);
    }
    return fd;
}

static void deliver(int to, const unsigned char *bytes, size_t size)
{
    /* A full queue loses the frame, as a cable's would. */
    if (send(sockets[to], bytes, size, 0) < 0 && errno != EAGAIN && errno != ENOBUFS &&
        errno != ENETDOWN) {
        fprintf(stderr, "network: %zu bytes to place %d: %s\n", size, to, strerror(errno));
    }
}

static void carry(int from, int to, const unsigned char *bytes, size_t size)
{
    struct way *way = &ways[from][to];
    if ((way->loss > 0 && chance() * 100 < way->loss) || way->queued >= QUEUE_FRAMES) {
        return;
    }
    int64_t now = now_us();
    int64_t due_us = now + way->delay_us + (int64_t)(chance() * (double)way->jitter_us);
    if (due_us < way->last_us) {
        due_us = way->last_us;
    }
    if (way->queued == 0 && due_us <= now) {
        deliver(to, bytes, size);
        return;
    }
    struct frame *frame = malloc(sizeof *frame + size);
    if (frame == NULL) {
        return;
    }
    frame->due_us = way->last_us = due_us;
    frame->size = size;
    memcpy(frame->bytes, bytes, size);
    STAILQ_INSERT_TAIL(&way->frames, frame, next);
    way->queued++;
}

static void take(int from, const unsigned char *bytes, size_t size)
{
    memcpy(addresses[from], bytes + ETH_ALEN, ETH_ALEN);
    int to = 0;
    while (to < places && (bytes[0] & 1 || memcmp(addresses[to], bytes, ETH_ALEN) != 0)) {
        to++;
    }
    if (to < places) {
        if (to != from) {
            carry(from, to, bytes, size);
        }
        return;
    }
    /* To all, or to somebody who has not spoken yet. */
    for (to = 0; to < places; to++) {
        if (to != from) {
            carry(from, to, bytes, size);
        }
    }
}

static void receive(int from)
{
    static unsigned char bytes[FRAME_BYTES];
    for (int i = 0; i < BURST; i++) {
        ssize_t size = recv(sockets[from], bytes, sizeof bytes, 0);
        if (size < 0) {
            return;
        }
        if (size >= (ssize_t)sizeof(struct ether_header)) {
            take(from, bytes, (size_t)size);
        }
    }
}

/* Sends what is due; returns when the next is, INT64_MAX never. */
static int64_t send_due(void)
{
    int64_t next_us = INT64_MAX;
    int64_t now = now_us();
    for (int i = 0; i < places * places; i++) {
        struct way *way = &ways[i / places][i % places];
        struct frame *frame;
        while ((frame = STAILQ_FIRST(&way->frames)) != NULL && frame->due_us <= now) {
            deliver(i % places, frame->bytes, frame->size);
            STAILQ_REMOVE_HEAD(&way->frames, next);
            way->queued--;
            free(frame);
        }
        if (frame != NULL && frame->due_us < next_us) {
            next_us = frame->due_us;
        }
    }
    return next_us;
}

static void obey(const char *line)
{
    int from, to;
    double loss, delay_ms, jitter_ms;
    if (sscanf(line, "%d %d %lf %lf %lf", &from, &to, &loss, &delay_ms, &jitter_ms) != 5 ||
        from < 0 || from >= places || to < 0 || to >= places) {
        fprintf(stderr, "network: not FROM TO LOSS DELAY JITTER: %s\n", line);
        exit(2);
    }
    ways[from][to].loss = loss;
    ways[from][to].delay_us = (int64_t)(delay_ms * 1000);
    ways[from][to].jitter_us = (int64_t)(jitter_ms * 1000);
    printf("%s\n", line);
    fflush(stdout);
}

/* False at the end of stdin. */
static int read_commands(void)
{
    static char text[4096];
    static size_t held;
    ssize_t size = read(STDIN_FILENO, text + held, sizeof text - 1 - held);
    if (size <= 0) {
        return 0;
    }
    held += (size_t)size;
    text[held] = '\0';
    char *line = text;
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        obey(line);
    }
    held -= (size_t)(line - text);
    memmove(text, line, held);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc - 1 > PLACES) {
        fprintf(stderr, "usage: network INTERFACE...    at most %d\n", PLACES);
        return 2;
    }
    struct pollfd watched[PLACES + 1];
    places = argc - 1;
    for (int i = 0; i < places; i++) {
        sockets[i] = open_interface(argv[i + 1]);
        watched[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
        for (int j = 0; j < places; j++) {
            STAILQ_INIT(&ways[i][j].frames);
        }
    }
    watched[places] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int64_t next_us = send_due();
        int64_t wait_us = next_us == INT64_MAX ? 60000000 : next_us - now_us();
        struct timespec wait = {.tv_sec = wait_us > 0 ? wait_us / 1000000 : 0,
                                .tv_nsec = wait_us > 0 ? wait_us % 1000000 * 1000 : 0};
        if (ppoll(watched, (nfds_t)places + 1, &wait, NULL) <= 0) {
            continue;
        }
        for (int i = 0; i < places; i++) {
            if (watched[i].revents) {
                receive(i);
            }
        }
        if (watched[places].revents && !read_commands()) {
            return 0;
        }
    }
}
