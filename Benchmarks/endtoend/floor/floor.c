/* floor: the least a program can do for the same result, as a yardstick for CPU per tag. Not a gateway: it keeps
 * nothing, checks little and ends at the first error.
 *
 *   floor DEVICES REGISTERS PERIOD_MS FIRST_PORT MQTT_PORT [CA CERTIFICATE KEY]
 *
 * One thread per device: libmodbus reads of 125 registers, JSON written by hand, one QoS 1 message per poll.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <modbus/modbus.h>
#include <mosquitto.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READ_MAX = 125, CHARACTERS_PER_TAG = 16 };

static struct mosquitto *broker;
static int registers, period_ms, first_port;

static _Noreturn void give_up(const char *what, const char *why)
{
    fprintf(stderr, "floor: %s: %s\n", what, why);
    exit(1);
}

static char *put_text(char *to, const char *text)
{
    size_t length = strlen(text);
    memcpy(to, text, length);
    return to + length;
}

static char *put_number(char *to, uint64_t value)
{
    char digits[20];
    int at = sizeof digits;
    do digits[--at] = (char) ('0' + value % 10);
    while (value /= 10);
    size_t length = sizeof digits - (size_t) at;
    memcpy(to, digits + at, length);
    return to + length;
}

static size_t write_payload(char *payload, const uint16_t *words)
{
    uint64_t stamp = (uint64_t) words[0] << 48 | (uint64_t) words[1] << 32 | (uint64_t) words[2] << 16 | words[3];
    char *to = put_number(put_text(payload, "{\"us\":"), stamp);
    for (int i = 4; i < registers; i++) {
        to = put_number(put_text(to, ",\"r"), (uint64_t) i);
        to = put_number(put_text(to, "\":"), words[i]);
    }
    *to++ = '}';
    return (size_t) (to - payload);
}

static void *poll_device(void *argument)
{
    int index = (int) (intptr_t) argument;
    char topic[32];
    snprintf(topic, sizeof topic, "bench/device-%d", index);
    uint16_t *words = calloc((size_t) registers, sizeof *words);
    char *payload = malloc((size_t) registers * CHARACTERS_PER_TAG + 64);
    modbus_t *device = modbus_new_tcp("127.0.0.1", first_port + index);
    if (!words || !payload || !device) give_up("memory", "none left");
    modbus_set_slave(device, 1);
    if (modbus_connect(device)) give_up("connect", modbus_strerror(errno));

    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    for (;;) {
        for (int first = 0; first < registers; first += READ_MAX) {
            int count = registers - first < READ_MAX ? registers - first : READ_MAX;
            if (modbus_read_registers(device, first, count, words + first) != count) give_up("read", modbus_strerror(errno));
        }
        int status = mosquitto_publish(broker, NULL, topic, (int) write_payload(payload, words), payload, 1, false);
        if (status) give_up("publish", mosquitto_strerror(status));
        int64_t next = deadline.tv_nsec + period_ms * 1000000LL;
        deadline.tv_sec += next / 1000000000;
        deadline.tv_nsec = next % 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 9) {
        fprintf(stderr, "usage: floor DEVICES REGISTERS PERIOD_MS FIRST_PORT MQTT_PORT [CA CERTIFICATE KEY]\n");
        return 2;
    }
    int devices = atoi(argv[1]);
    registers = atoi(argv[2]), period_ms = atoi(argv[3]), first_port = atoi(argv[4]);
    mosquitto_lib_init();
    broker = mosquitto_new(NULL, true, NULL);
    if (!broker) give_up("memory", "none left");
    mosquitto_int_option(broker, MOSQ_OPT_TCP_NODELAY, 1);
    if (argc == 9) {
        mosquitto_tls_set(broker, argv[6], NULL, argv[7], argv[8], NULL);
        mosquitto_tls_opts_set(broker, 1, "tlsv1.3", NULL);
    }
    int status = mosquitto_connect(broker, "127.0.0.1", atoi(argv[5]), 60);
    if (status) give_up("broker", mosquitto_strerror(status));
    mosquitto_loop_start(broker);
    for (int i = 0; i < devices; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, poll_device, (void *) (intptr_t) i)) give_up("thread", "not created");
    }
    for (;;) pause();
}
