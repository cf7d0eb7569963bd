/* latency: an MQTT subscriber that counts what arrives and how old it is.
 *
 *   latency PORT TOPIC_FILTER STAMP_KEY VALUE_KEY
 *
 * It subscribes on 127.0.0.1:PORT without TLS and understands nothing of the payload's layout but its keys: each text
 * VALUE_KEY is one value, each text STAMP_KEY is followed by the microseconds since 1970 at which the device answered,
 * and is one value too. A stamp that is not newer than the last of its topic is stale: old data sent again.
 * SIGUSR1 prints one line of JSON about the time since the last one (latencies in milliseconds); SIGTERM and SIGINT end it.
 */
#define _GNU_SOURCE
#include <mosquitto.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LATENCIES_MAX = 1 << 22, TOPICS_MAX = 4096 };

struct topic {
    char *name;
    int64_t newest;
};

static const char *filter, *stamp_key, *value_key;
static uint64_t messages, bytes, values, stamps, stale;
static uint32_t *latencies; /* microseconds */
static size_t latency_count;
static struct topic topics[TOPICS_MAX]; /* open addressing */
static volatile sig_atomic_t report_wanted, end_wanted;

static void on_signal(int number)
{
    if (number == SIGUSR1) report_wanted = 1;
    else end_wanted = 1;
}

static struct topic *topic_named(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = name; *c; c++) hash = (hash ^ (uint8_t) *c) * 16777619u;
    for (uint32_t i = 0; i < TOPICS_MAX; i++) {
        struct topic *topic = &topics[(hash + i) % TOPICS_MAX];
        if (!topic->name) topic->name = strdup(name);
        if (topic->name && strcmp(topic->name, name) == 0) return topic;
    }
    fprintf(stderr, "latency: more than %d topics\n", TOPICS_MAX);
    exit(1);
}

static uint64_t occurrences(const char *at, const char *end, const char *key)
{
    size_t length = strlen(key);
    uint64_t count = 0;
    for (; (at = memmem(at, (size_t) (end - at), key, length)); at += length) count++;
    return count;
}

static void take_stamps(struct topic *topic, const char *at, const char *end, int64_t now)
{
    size_t length = strlen(stamp_key);
    while ((at = memmem(at, (size_t) (end - at), stamp_key, length))) {
        int64_t stamp = 0;
        at += length;
        while (at < end && (*at == ' ' || *at == ':')) at++;
        for (; at < end && *at >= '0' && *at <= '9'; at++) stamp = stamp * 10 + (*at - '0');
        stamps++;
        if (stamp <= topic->newest) {
            stale++;
            continue;
        }
        topic->newest = stamp;
        if (latency_count < LATENCIES_MAX) latencies[latency_count++] = now > stamp ? (uint32_t) (now - stamp) : 0;
    }
}

static void on_message(struct mosquitto *client, void *context, const struct mosquitto_message *message)
{
    (void) client, (void) context;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    const char *payload = message->payload, *end = payload + message->payloadlen;
    messages++;
    bytes += (uint64_t) message->payloadlen;
    if (message->payloadlen <= 0) return;
    values += occurrences(payload, end, value_key);
    take_stamps(topic_named(message->topic), payload, end, (int64_t) time.tv_sec * 1000000 + time.tv_nsec / 1000);
}

static void on_connect(struct mosquitto *client, void *context, int code)
{
    (void) context;
    if (code) {
        fprintf(stderr, "latency: the broker refused: %s\n", mosquitto_connack_string(code));
        exit(1);
    }
    mosquitto_subscribe(client, NULL, filter, 0);
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}

static double percentile(double part)
{
    return latency_count ? latencies[(size_t) ((double) (latency_count - 1) * part)] / 1000.0 : -1;
}

static void report(void)
{
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    printf("{\"messages\": %llu, \"bytes\": %llu, \"values\": %llu, \"stamps\": %llu, \"stale\": %llu, "
           "\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}\n",
           (unsigned long long) messages, (unsigned long long) bytes, (unsigned long long) (values + stamps),
           (unsigned long long) stamps, (unsigned long long) stale, percentile(0.5), percentile(0.99), percentile(1));
    fflush(stdout);
    messages = bytes = values = stamps = stale = 0;
    latency_count = 0;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: latency PORT TOPIC_FILTER STAMP_KEY VALUE_KEY\n");
        return 2;
    }
    filter = argv[2], stamp_key = argv[3], value_key = argv[4];
    latencies = malloc(LATENCIES_MAX * sizeof *latencies);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, NULL);
    if (!latencies || !client) return 1;
    mosquitto_connect_callback_set(client, on_connect);
    mosquitto_message_callback_set(client, on_message);
    int status = mosquitto_connect(client, "127.0.0.1", atoi(argv[1]), 60);
    while (!status && !end_wanted) {
        status = mosquitto_loop(client, 20, 1);
        if (status == MOSQ_ERR_ERRNO && (report_wanted || end_wanted)) status = 0; /* a signal ended the wait */
        if (report_wanted) {
            report_wanted = 0;
            report();
        }
    }
    if (status) fprintf(stderr, "latency: %s\n", mosquitto_strerror(status));
    return status != 0;
}
