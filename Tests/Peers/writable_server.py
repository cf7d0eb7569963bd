#!/usr/bin/env python3
"""A foreign Modbus server on pymodbus that is written to, with a device's whims on demand, for the tests of guarded writes.

    writable_server.py

Listens on a free port of 127.0.0.1 and prints "READY port". Holding register N holds N, coil N is on when N is even, for N in 0…9999.
One command per line on standard input, each answered by "OK …" on standard output:

    ignore          takes writes, and changes nothing            drop     carries writes out, and does not answer them
    mask            does not know function 22 (exception 01)     refuse   answers writes with exception 04
    clear           no whims any more
    get TABLE N     "OK value", with TABLE holding or coil       set TABLE N VALUE
    writes          "OK count": the requests to write so far, with their function codes in order
"""
import asyncio
import sys

from pymodbus.pdu import ExceptionResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

SIZE = 10_000
UNIT = 1
READS = {"holding": 3, "coil": 1}
WRITES = {"holding": 16, "coil": 15}
WRITING = {5: "coil", 6: "holding", 15: "coil", 16: "holding", 22: "holding"}


class Whims:
    kind = None
    functions = []


class Handler(ServerRequestHandler):
    async def handle_request(self):
        request = self.last_pdu
        table = WRITING.get(request.function_code) if request else None
        if table is None:
            return await super().handle_request()
        Whims.functions.append(request.function_code)
        self.is_write = True
        if Whims.kind == "refuse" or Whims.kind == "mask" and request.function_code == 22:
            reply = ExceptionResponse(request.function_code, 4 if Whims.kind == "refuse" else 1)
            reply.transaction_id, reply.dev_id = request.transaction_id, request.dev_id
            return self.server_send(reply, self.last_addr)
        count = max(1, getattr(request, "count", 1) or 1)
        context = self.server.context
        kept = await context.async_getValues(UNIT, READS[table], request.address, count) if Whims.kind == "ignore" else None
        await super().handle_request()
        if kept is not None:
            await context.async_setValues(UNIT, WRITES[table], request.address, list(kept)[:count])

    def server_send(self, pdu, addr):
        is_write, self.is_write = getattr(self, "is_write", False), False
        if not (is_write and Whims.kind == "drop"):
            super().server_send(pdu, addr)


class Server(ModbusTcpServer):
    def callback_new_connection(self):
        return Handler(self, None, None, None)


def device():
    block = lambda values, kind: [SimData(0, values=values, datatype=kind)]
    bits = [n % 2 == 0 for n in range(SIZE)]
    words = list(range(SIZE))
    return SimDevice(
        id=UNIT, use_bit_addressing=True,
        simdata=(block(bits, DataType.BITS), block(bits, DataType.BITS), block(words, DataType.REGISTERS), block(words, DataType.REGISTERS)))


async def obey(words, context):
    match words:
        case ["ignore" | "drop" | "mask" | "refuse" as kind]:
            Whims.kind = kind
        case ["clear"]:
            Whims.kind = None
        case ["get", table, number]:
            return int((await context.async_getValues(UNIT, READS[table], int(number), 1))[0])
        case ["set", table, number, value]:
            value = int(value) if table == "holding" else value != "0"
            await context.async_setValues(UNIT, WRITES[table], int(number), [value])
        case ["writes"]:
            return " ".join(map(str, [len(Whims.functions), *Whims.functions]))
        case _:
            raise ValueError("unknown command")
    return ""


async def main():
    server = Server([device()], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print("READY", server.transport.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode(errors="replace"):
        try:
            print("OK", await obey(line.split(), server.context), flush=True)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            print("ERROR", line.strip(), error, flush=True)
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
