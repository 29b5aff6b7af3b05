/* A meter with libmodbus: `modbus_server rtu DEVICE BAUD UNIT` or `modbus_server tcp PORT UNIT`.
 *
 * Prints "ready PORT" (0 for rtu). Input registers 0x34 and 0x48 and the holding registers 0x1E, 0x28
 * and 0xFC00 are those of an Eastron SDM630: 7360 W, 12,345.5 kWh, kWh, word order, serial 20630077.
 * Coils 0 to 15 and all holding registers may be written.
 * Serves until stdin ends or the line does. */

#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void set_u32(uint16_t *at, uint32_t bits) {
    at[0] = bits >> 16;
    at[1] = bits & 0xFFFF;
}

static void set_f32(uint16_t *at, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    set_u32(at, bits);
}

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    return 1;
}

/* Whether `fd` has something before stdin ends. */
static int next(int fd) {
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    while (poll(fds, 2, -1) > 0) {
        if (fds[0].revents != 0)
            return 0;
        if (fds[1].revents != 0)
            return 1;
    }
    return 0;
}

/* On a line the server outlives what it cannot read; on TCP that is the connection's end. */
static void serve(modbus_t *context, modbus_mapping_t *registers, int is_line) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    while (next(modbus_get_socket(context))) {
        int length = modbus_receive(context, query);
        if (length == -1 && (!is_line || errno == EIO))
            return;
        if (length == -1)
            modbus_flush(context);
        if (length > 0)
            modbus_reply(context, query, length, registers);
    }
}

int main(int count, char **words) {
    modbus_mapping_t *registers = modbus_mapping_new(16, 0, 0xFC02, 0x0166);
    if (count < 4 || registers == NULL)
        return fail("usage: rtu DEVICE BAUD UNIT, or tcp PORT UNIT");
    set_f32(registers->tab_input_registers + 0x34, 7360.0f);
    set_f32(registers->tab_input_registers + 0x48, 12345.5f);
    set_f32(registers->tab_registers + 0x1E, 0.0f);
    set_f32(registers->tab_registers + 0x28, 2141.0f);
    set_u32(registers->tab_registers + 0xFC00, 20630077);

    if (strcmp(words[1], "rtu") == 0) {
        modbus_t *context = modbus_new_rtu(words[2], atoi(words[3]), 'N', 8, 1);
        modbus_set_slave(context, atoi(words[4]));
        if (modbus_connect(context) == -1)
            return fail("cannot open the port");
        puts("ready 0");
        fflush(stdout);
        serve(context, registers, 1);
        return 0;
    }

    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(words[2]));
    modbus_set_slave(context, atoi(words[3]));
    int listener = modbus_tcp_listen(context, 1);
    struct sockaddr_in bound;
    socklen_t length = sizeof bound;
    if (listener == -1 || getsockname(listener, (struct sockaddr *)&bound, &length) == -1)
        return fail("cannot listen");
    printf("ready %d\n", ntohs(bound.sin_port));
    fflush(stdout);
    while (next(listener)) {
        modbus_tcp_accept(context, &listener);
        serve(context, registers, 0);
        modbus_close(context);
    }
    return 0;
}
