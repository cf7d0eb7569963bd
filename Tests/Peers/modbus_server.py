#!/usr/bin/env python3
"""A foreign Modbus server on pymodbus, with known values and faults on demand, for the tests of the gateway.

    modbus_server.py [--port N] [--units 1,17] [--rtu] [--baud N]

It listens on 127.0.0.1 (port 0, the default, takes a free one) and prints, one per line:

    RTU /dev/pts/7      only with --rtu: the serial line to open, 8N1
    READY 41234         the TCP port; everything is up

Values, the same in every unit:

    holding N       N for N in 0…9999, except the typed block and the counter below
    input N         30000 + N for N in 0…9999, the typed block as in holding
    coil N          on when N is even, 0…9999         discrete N    on when N divides by 3, 0…9999
    typed block     1000 int16 -1234          1002 int32 -123456789     1004 uint32 4000000000
                    1006 float32 3.5          1008 float64 -2.25e10     1012 int64 -1234567890123456789
                    1016 uint64 18000000000000000000                    1020 string "IndusEdge test" in 16 bytes, zero padded
                    1030 float32 3.5 CDAB     1032 float32 3.5 BADC     1034 float32 3.5 DCBA
    counter         2000…2001 uint32: rises by one at each read of holding registers that covers 2000

Control: one command per line on standard input, each answered by "OK …" or "ERROR …" on standard output.
A fault strikes replies to reads until "clear", or only the next N of them with "times N".

    exception CODE [TABLE FIRST LAST]   the exception, for reads that touch the range (default: for all reads)
    delay MS        every reply comes that late; "delay 700 times 1" is one late reply
    drop            no reply                        close          the connection is closed instead of a reply
    corrupt         a data byte is inverted (and the CRC of a serial frame thereby wrong)
    truncated       half of the frame, then nothing oversized      a byte count and a body beyond the protocol's limit
    trailing        two bytes of garbage behind the frame
    transaction     another transaction identifier  unit           another unit identifier
    function        another function code           length         a byte count that does not fit the request
    set TABLE ADDRESS VALUE…            writes values, e.g. "set holding 10 7 8"
    clear           no faults any more
    stop            ends the server (as does the end of standard input)
"""
import argparse
import asyncio
import os
import struct
import sys
import termios
import tty

from pymodbus import FramerType
from pymodbus.pdu import ExceptionResponse
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

TABLE_OF_READ = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITE_CODE = {"coil": 15, "discrete": 2, "holding": 16, "input": 4}
COUNTER = 2000
SIZE = 10_000


class Faults:
    """What to do to the replies to reads; one for the whole server."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.kind, self.number, self.span, self.left = None, 0, None, None

    def take(self, table, first, count):
        """The fault for this read, used up by one if it was limited to a number of times."""
        if self.kind is None or self.left == 0:
            return None
        if self.span is not None:
            wanted, low, high = self.span
            if table != wanted or first + count - 1 < low or first > high:
                return None
        if self.left is not None:
            self.left -= 1
        return self.kind

    KINDS = "drop close corrupt truncated oversized trailing transaction unit function length".split()

    def command(self, words):
        """Takes the words of one control line; raises ValueError for what it does not understand."""
        left = None
        if len(words) > 2 and words[-2] == "times":
            left, words = int(words[-1]), words[:-2]
        kind, arguments = words[0], words[1:]
        number, span = 0, None
        if kind == "exception" and len(arguments) in (1, 4):
            number = int(arguments[0])
            if len(arguments) == 4:
                if arguments[1] not in WRITE_CODE:
                    raise ValueError(f"table is {arguments[1]}, expected one of {', '.join(WRITE_CODE)}")
                span = (arguments[1], int(arguments[2]), int(arguments[3]))
        elif kind == "delay" and len(arguments) == 1:
            number = int(arguments[0])
        elif kind not in self.KINDS or arguments:
            raise ValueError("unknown command")
        self.kind, self.number, self.span, self.left = kind, number, span, left


FAULTS = Faults()


class FaultyHandler(ServerRequestHandler):
    """One connection, with the fault of the request being answered applied to its reply."""

    fault = None

    async def handle_request(self):
        request = self.last_pdu
        self.fault = None
        if request is None:
            return
        table = TABLE_OF_READ.get(request.function_code)
        if table:
            await self.count_read(request, table)
            self.fault = FAULTS.take(table, request.address, request.count)
        if self.fault == "exception":
            reply = ExceptionResponse(request.function_code, FAULTS.number)
            reply.transaction_id, reply.dev_id = request.transaction_id, request.dev_id
            self.server_send(reply, self.last_addr)
        else:
            await super().handle_request()

    async def count_read(self, request, table):
        if table == "holding" and request.address <= COUNTER < request.address + request.count:
            context = self.server.context
            high, low = await context.async_getValues(request.dev_id, 3, COUNTER, 2)
            number = ((high << 16 | low) + 1) & 0xFFFFFFFF
            await context.async_setValues(request.dev_id, 16, COUNTER, [number >> 16, number & 0xFFFF])

    def send(self, data, addr=None):
        fault, self.fault = self.fault, None
        if fault == "delay":
            self.loop.call_later(FAULTS.number / 1000, self.send_if_open, data, addr)
        elif fault == "close":
            self.close()
        elif fault not in (None, "drop", "exception"):
            super().send(spoiled(fault, bytearray(data), self.server.serial), addr=addr)
        elif fault != "drop":
            super().send(data, addr=addr)

    def send_if_open(self, data, addr):
        if self.transport:
            super().send(data, addr=addr)


def spoiled(fault, frame, serial):
    """The frame with the fault in it. A serial frame keeps a right CRC unless the fault is a wrong one."""
    header = 1 if serial else 7  # bytes before the function code
    body, trailer = (frame[:-2], True) if serial else (frame, False)
    if fault == "corrupt":
        frame[header + 2] ^= 0xFF
        return bytes(frame)
    if fault == "truncated":
        return bytes(frame[: len(frame) // 2])
    if fault == "trailing":
        return bytes(frame + b"\xde\xad")
    if fault == "transaction" and not serial:
        body[0] ^= 0x55
    elif fault == "unit":
        body[header - 1] ^= 0x10
    elif fault == "function":
        body[header] ^= 0x04
    elif fault == "length":
        body[header + 1] = (body[header + 1] - 2) & 0xFF
    elif fault == "oversized":
        body[header + 1] = 0xFF
        body += bytes(600)
        if not serial:
            struct.pack_into(">H", body, 4, len(body) - 6)
    return bytes(body) + crc(body) if trailer else bytes(body)


def crc(data):
    """The CRC-16 of a serial frame (Modbus over Serial Line 1.02, 6.2.2), low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return struct.pack("<H", value)


class TCPServer(ModbusTcpServer):
    serial = False

    def callback_new_connection(self):
        return FaultyHandler(self, None, None, None)


class RTUServer(ModbusSerialServer):
    serial = True

    def callback_new_connection(self):
        return FaultyHandler(self, None, None, None)


def registers(data):
    return list(struct.unpack(f">{len(data) // 2}H", data))


def typed_block():
    """Address → registers of the typed values."""
    bits = struct.pack(">f", 3.5)
    return {
        1000: registers(struct.pack(">h", -1234)), 1002: registers(struct.pack(">i", -123456789)),
        1004: registers(struct.pack(">I", 4000000000)), 1006: registers(bits),
        1008: registers(struct.pack(">d", -2.25e10)), 1012: registers(struct.pack(">q", -1234567890123456789)),
        1016: registers(struct.pack(">Q", 18000000000000000000)),
        1020: registers(b"IndusEdge test".ljust(16, b"\0")),
        1030: registers(bits[2:] + bits[:2]), 1032: registers(bytes([bits[1], bits[0], bits[3], bits[2]])),
        1034: registers(bits[::-1]),
    }


def device(unit):
    holding, inputs = list(range(SIZE)), [30_000 + n for n in range(SIZE)]
    for address, values in typed_block().items():
        holding[address:address + len(values)] = values
        inputs[address:address + len(values)] = values
    holding[COUNTER:COUNTER + 2] = [0, 0]
    block = lambda values, kind: [SimData(0, values=values, datatype=kind)]
    return SimDevice(
        id=unit, use_bit_addressing=True,
        simdata=(block([n % 2 == 0 for n in range(SIZE)], DataType.BITS), block([n % 3 == 0 for n in range(SIZE)], DataType.BITS),
                 block(holding, DataType.REGISTERS), block(inputs, DataType.REGISTERS)))


class SerialLine:
    """Two pseudo terminals joined at their controlling ends: the server opens one, the client the other."""

    def __init__(self, loop):
        ends = [os.openpty(), os.openpty()]
        for controller, terminal in ends:
            tty.setraw(terminal, termios.TCSANOW)
            os.set_blocking(controller, False)
        self.ends = ends  # the terminals stay open here, so that a closing client is no hangup for the server
        self.server_path, self.client_path = (os.ttyname(terminal) for _, terminal in ends)
        (a, _), (b, _) = ends
        loop.add_reader(a, self.carry, a, b)
        loop.add_reader(b, self.carry, b, a)

    @staticmethod
    def carry(source, destination):
        try:
            os.write(destination, os.read(source, 4096))
        except BlockingIOError:
            pass


async def control(servers):
    """Obeys the lines on standard input until they end."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode(errors="replace"):
        words = line.split()
        if not words:
            continue
        if words[0] == "stop":
            return
        try:
            if words[0] == "clear":
                FAULTS.clear()
            elif words[0] == "set" and len(words) >= 4 and words[1] in WRITE_CODE:
                values = [int(word) for word in words[3:]]
                if words[1] in ("coil", "discrete"):
                    values = [value != 0 for value in values]
                for server in servers:
                    for unit in server.context.device_ids():
                        await server.context.async_setValues(unit, WRITE_CODE[words[1]], int(words[2]), values)
            else:
                FAULTS.command(words)
            print("OK", *words, flush=True)
        except (ValueError, IndexError) as error:
            print("ERROR", " ".join(words) + ":", error, flush=True)


async def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one")
    options.add_argument("--units", default="1,17", help="unit identifiers, separated by commas")
    options.add_argument("--rtu", action="store_true", help="also serve RTU on a pseudo terminal")
    options.add_argument("--baud", type=int, default=115200)
    choice = options.parse_args()

    devices = lambda: [device(int(unit)) for unit in choice.units.split(",")]
    servers = [TCPServer(devices(), address=("127.0.0.1", choice.port))]
    line = None
    if choice.rtu:
        line = SerialLine(asyncio.get_running_loop())
        servers.append(RTUServer(devices(), framer=FramerType.RTU, port=line.server_path, baudrate=choice.baud, parity="N"))
    for server in servers:
        await server.serve_forever(background=True)
    if line:
        print("RTU", line.client_path, flush=True)
    print("READY", servers[0].transport.sockets[0].getsockname()[1], flush=True)
    await control(servers)
    for server in servers:
        await server.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
