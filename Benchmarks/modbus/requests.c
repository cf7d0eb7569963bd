/* requests: how many read requests bare libmodbus makes, one connection and one thread each, for benchmarks.
 *
 *   requests PORT CONNECTIONS REGISTERS SECONDS
 *
 * Prints one line of JSON: requests, errors, seconds, cpu_seconds (user and system time of this process).
 */
#include <modbus/modbus.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <sys/resource.h>
#include <time.h>

enum { CONNECTIONS_MAX = 1024, REGISTERS_MAX = 125 };

static int port, registers;
static double until;

struct client {
    pthread_t thread;
    uint64_t requests, errors;
};

static double seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + time.tv_nsec / 1e9;
}

static void *run(void *argument)
{
    struct client *client = argument;
    uint16_t values[REGISTERS_MAX];
    modbus_t *modbus = modbus_new_tcp("127.0.0.1", port);
    modbus_set_slave(modbus, 1);
    modbus_set_response_timeout(modbus, 5, 0);
    if (modbus_connect(modbus) != 0) {
        fprintf(stderr, "requests: %s\n", modbus_strerror(errno));
        exit(1);
    }
    while (seconds() < until) {
        if (modbus_read_registers(modbus, 0, registers, values) != registers) client->errors++;
        client->requests++;
    }
    modbus_close(modbus);
    modbus_free(modbus);
    return NULL;
}

int main(int count, char **words)
{
    static struct client clients[CONNECTIONS_MAX];
    uint64_t requests = 0, errors = 0;
    struct rusage use;
    if (count != 5) return 2;
    port = atoi(words[1]);
    int connections = atoi(words[2]);
    registers = atoi(words[3]);
    double start = seconds();
    until = start + atof(words[4]);
    if (connections < 1 || connections > CONNECTIONS_MAX || registers < 1 || registers > REGISTERS_MAX) return 2;
    for (int i = 0; i < connections; i++)
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) return 1;
    for (int i = 0; i < connections; i++) {
        pthread_join(clients[i].thread, NULL);
        requests += clients[i].requests;
        errors += clients[i].errors;
    }
    double end = seconds();
    getrusage(RUSAGE_SELF, &use);
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", (unsigned long long) requests,
           (unsigned long long) errors, end - start,
           (double) use.ru_utime.tv_sec + use.ru_utime.tv_usec / 1e6 + (double) use.ru_stime.tv_sec + use.ru_stime.tv_usec / 1e6);
    return 0;
}
