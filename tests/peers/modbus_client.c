/* Reads a meter with libmodbus, as often as told: `modbus_client rtu DEVICE BAUD UNIT COUNT` or
 * `modbus_client tcp PORT UNIT COUNT`.
 *
 * Each time it asks for the 22 input registers from 0x34 on that a reading of an Eastron SDM630 takes.
 * Prints the processor time that this took and the time that passed, in nanoseconds. */

#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static long long in_ns(long long seconds, long long rest_ns) {
    return seconds * 1000000000LL + rest_ns;
}

static long long processor_ns(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return in_ns(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec,
                 (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL);
}

static long long wall_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return in_ns(now.tv_sec, now.tv_nsec);
}

int main(int count, char **words) {
    int is_rtu = count == 6 && strcmp(words[1], "rtu") == 0;
    if (!is_rtu && count != 5) {
        fputs("usage: rtu DEVICE BAUD UNIT COUNT, or tcp PORT UNIT COUNT\n", stderr);
        return 1;
    }
    modbus_t *context = is_rtu ? modbus_new_rtu(words[2], atoi(words[3]), 'N', 8, 1)
                               : modbus_new_tcp("127.0.0.1", atoi(words[2]));
    modbus_set_slave(context, atoi(words[count - 2]));
    if (modbus_connect(context) == -1) {
        fprintf(stderr, "cannot connect: %s\n", modbus_strerror(errno));
        return 1;
    }
    uint16_t registers[22];
    long long processor = processor_ns(), wall = wall_ns();
    for (int left = atoi(words[count - 1]); left > 0; left--) {
        if (modbus_read_input_registers(context, 0x34, 22, registers) != 22) {
            fprintf(stderr, "no answer: %s\n", modbus_strerror(errno));
            return 1;
        }
    }
    printf("%lld %lld\n", processor_ns() - processor, wall_ns() - wall);
    return 0;
}
