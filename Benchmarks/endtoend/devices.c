/* devices: N Modbus TCP devices on 127.0.0.1, for benchmarks. One thread, epoll, no Modbus library.
 *
 *   devices COUNT FIRST_PORT PERIOD_MS
 *
 * Device i listens on FIRST_PORT + i and answers function codes 3 and 4 from one bank of registers.
 *   registers 0..3   the time of the answer, CLOCK_REALTIME in microseconds, uint64, high word first
 *   others           move at every read the way a plant's do: mostly slow analog walks, some counters, some constants
 *
 * A poll is a read that covers register 0. SIGUSR1 prints one line of JSON about the time since the last one:
 * polls, requests, registers, missed (whole periods in which a device was not polled), and first_request, the
 * CLOCK_MONOTONIC time in seconds of the first request since the start (0 when there was none yet).
 * SIGTERM and SIGINT end it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
    BANK = 10000,        /* registers of a device */
    READ_MAX = 125,      /* registers of one read */
    HEADER = 7,          /* MBAP header */
    FRAME_MAX = 260,     /* Modbus TCP application data unit */
    REQUEST_SIZE = 12,   /* of a read request */
    BACKLOG_SIZE = 32 * FRAME_MAX,
};

enum source_kind { SIGNALS, PORT, CONNECTION };

/* What an epoll event belongs to; the first member of everything that is watched. */
struct source {
    enum source_kind kind;
    int fd;
};

struct device {
    struct source source;
    uint16_t bank[BANK];
    uint64_t noise;
    int64_t polled_at;
    uint64_t polls, missed;
};

struct connection {
    struct source source;
    struct device *device;
    size_t pending;
    uint8_t bytes[BACKLOG_SIZE];
};

static struct device *devices;
static int device_count;
static int64_t period_ns;
static int64_t first_request_ns;
static uint64_t requests, registers_read;

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t) time.tv_sec * 1000000000 + time.tv_nsec;
}

static unsigned word(const uint8_t *at) { return (unsigned) at[0] << 8 | at[1]; }

static void put_word(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t) (value >> 8);
    at[1] = (uint8_t) value;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "devices: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* xorshift64: enough to make values look alive, and the same in every run. */
static uint64_t next_noise(struct device *device)
{
    uint64_t x = device->noise;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return device->noise = x;
}

static void count_poll(struct device *device, int64_t now)
{
    if (device->polled_at) {
        int64_t periods = (now - device->polled_at + period_ns / 2) / period_ns;
        if (periods > 1) device->missed += (uint64_t) (periods - 1);
    }
    device->polled_at = now;
    device->polls++;
}

/* Lets the plant move: of eight registers five walk by at most three counts, two count up, one rests. */
static void move_values(struct device *device, unsigned first, unsigned count)
{
    uint64_t noise = next_noise(device);
    for (unsigned i = first; i < first + count; i++) {
        unsigned role = i & 7;
        if (role < 5) {
            int step = (int) (noise >> (i % 61) & 7) - 3;
            int value = device->bank[i] + (step == 4 ? 0 : step);
            if (value > 5000 && value < 60000) device->bank[i] = (uint16_t) value;
        } else if (role < 7) {
            device->bank[i]++;
        }
        if ((i & 31) == 31) noise = next_noise(device);
    }
}

static void stamp(struct device *device)
{
    uint64_t microseconds = (uint64_t) (nanoseconds(CLOCK_REALTIME) / 1000);
    for (int i = 0; i < 4; i++) device->bank[i] = (uint16_t) (microseconds >> (48 - 16 * i));
}

/* Answers one request into reply and returns the reply's length. */
static size_t answer(struct device *device, const uint8_t *request, size_t length, uint8_t *reply)
{
    unsigned function = request[HEADER], exception = 0, body = 1;
    int64_t now = nanoseconds(CLOCK_MONOTONIC);
    if (!first_request_ns) first_request_ns = now;
    requests++;
    memcpy(reply, request, HEADER);
    if (function != 3 && function != 4) {
        exception = 1;
    } else if (length != REQUEST_SIZE) {
        exception = 3;
    } else {
        unsigned first = word(request + HEADER + 1), count = word(request + HEADER + 3);
        if (count < 1 || count > READ_MAX) {
            exception = 3;
        } else if (first + count > BANK) {
            exception = 2;
        } else {
            move_values(device, first, count);
            if (first == 0) {
                count_poll(device, now);
                stamp(device);
            }
            reply[HEADER + 1] = (uint8_t) (2 * count);
            for (unsigned i = 0; i < count; i++) put_word(reply + HEADER + 2 + 2 * i, device->bank[first + i]);
            body = 1 + 2 * count;
            registers_read += count;
        }
    }
    reply[HEADER] = (uint8_t) (exception ? function | 0x80 : function);
    if (exception) reply[HEADER + 1] = (uint8_t) exception;
    put_word(reply + 4, 2 + body);
    return HEADER + 1 + body;
}

/* Reads what has come and answers every whole request. Returns 0 when the connection is to be closed. */
static int serve(struct connection *connection)
{
    ssize_t got = recv(connection->source.fd, connection->bytes + connection->pending, BACKLOG_SIZE - connection->pending, 0);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    connection->pending += (size_t) got;

    static uint8_t replies[BACKLOG_SIZE / REQUEST_SIZE * FRAME_MAX + FRAME_MAX];
    size_t used = 0, written = 0;
    while (connection->pending - used > HEADER) {
        const uint8_t *request = connection->bytes + used;
        size_t length = 6 + word(request + 4);
        if (word(request + 2) != 0 || length <= HEADER || length > FRAME_MAX) return 0;
        if (connection->pending - used < length) break;
        written += answer(connection->device, request, length, replies + written);
        used += length;
        if (written > sizeof replies - FRAME_MAX) return 0;
    }
    memmove(connection->bytes, connection->bytes + used, connection->pending - used);
    connection->pending -= used;
    /* The socket's buffer holds far more than a client that waits for its answers can leave unread. */
    return written == 0 || send(connection->source.fd, replies, written, MSG_NOSIGNAL) == (ssize_t) written;
}

static void watch(int poller, struct source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, source->fd, &event)) give_up("epoll");
}

static void accept_one(int poller, struct device *device)
{
    int fd = accept4(device->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) give_up("memory");
    connection->source = (struct source) {CONNECTION, fd};
    connection->device = device;
    watch(poller, &connection->source);
}

static void listen_on(int poller, struct device *device, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) || listen(fd, 128)) give_up("listen");
    device->source = (struct source) {PORT, fd};
    watch(poller, &device->source);
}

static void report(void)
{
    uint64_t polls = 0, missed = 0;
    for (int i = 0; i < device_count; i++) {
        polls += devices[i].polls;
        missed += devices[i].missed;
        devices[i].polls = devices[i].missed = 0;
    }
    printf("{\"polls\": %llu, \"missed\": %llu, \"requests\": %llu, \"registers\": %llu, \"first_request\": %.6f}\n",
           (unsigned long long) polls, (unsigned long long) missed, (unsigned long long) requests,
           (unsigned long long) registers_read, (double) first_request_ns / 1e9);
    fflush(stdout);
    requests = registers_read = 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: devices COUNT FIRST_PORT PERIOD_MS\n");
        return 2;
    }
    device_count = atoi(argv[1]);
    int first_port = atoi(argv[2]);
    period_ns = atoll(argv[3]) * 1000000;
    if (device_count < 1 || first_port < 1 || first_port + device_count > 65536 || period_ns < 1) {
        fprintf(stderr, "devices: COUNT, FIRST_PORT and PERIOD_MS are positive, ports end at 65535\n");
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct source signal_source = {SIGNALS, signalfd(-1, &signals, SFD_CLOEXEC)};
    watch(poller, &signal_source);
    devices = calloc((size_t) device_count, sizeof *devices);
    if (!devices) give_up("memory");
    for (int i = 0; i < device_count; i++) {
        devices[i].noise = 0x2545F4914F6CDD1Du + (uint64_t) i;
        for (int r = 0; r < BANK; r++) devices[i].bank[r] = (uint16_t) (8000 + next_noise(&devices[i]) % 48000);
        listen_on(poller, &devices[i], first_port + i);
    }
    printf("READY\n");
    fflush(stdout);

    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(poller, events, 64, -1);
        for (int i = 0; i < count; i++) {
            struct source *source = events[i].data.ptr;
            if (source->kind == PORT) {
                accept_one(poller, (struct device *) source);
            } else if (source->kind == CONNECTION) {
                if (!serve((struct connection *) source)) {
                    close(source->fd);
                    free(source);
                }
            } else {
                struct signalfd_siginfo signal;
                if (read(source->fd, &signal, sizeof signal) != sizeof signal) continue;
                if (signal.ssi_signo != SIGUSR1) return 0;
                report();
            }
        }
    }
}
