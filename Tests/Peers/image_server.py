#!/usr/bin/env python3
"""A foreign Modbus TCP server on pymodbus that shows whatever it is given: holding and input registers, the whole address space of each.

    image_server.py [--units 1,2] [--refuse]

It listens on a free port of 127.0.0.1 and prints READY and the port. With --refuse, addresses that were never set are refused (exception 2),
as by a device that has only its own registers; without, they are 0. Control: one command per line on standard input, each answered by
"OK" or "ERROR …" on standard output.

    set UNIT TABLE ADDRESS HEX…     registers of four hexadecimal digits each, e.g. "set 1 holding 40000 5375 6E53"
    stop                            ends the server (as does the end of standard input)
"""
import argparse
import asyncio
import sys

from pymodbus.pdu import ExceptionResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

SIZE = 65_536
TABLE_OF_READ = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
WRITE_CODE = {"holding": 16, "input": 4}
REFUSE = False
KNOWN = {}


class Handler(ServerRequestHandler):
    """One connection; refuses what was never set, if asked to."""

    async def handle_request(self):
        request = self.last_pdu
        table = TABLE_OF_READ.get(request.function_code) if request is not None else None
        known = KNOWN.get((request.dev_id, table), set()) if table else set()
        if REFUSE and table and not all(address in known for address in range(request.address, request.address + request.count)):
            reply = ExceptionResponse(request.function_code, 2)
            reply.transaction_id, reply.dev_id = request.transaction_id, request.dev_id
            self.server_send(reply, self.last_addr)
        else:
            await super().handle_request()


class Server(ModbusTcpServer):
    def callback_new_connection(self):
        return Handler(self, None, None, None)


def device(unit):
    block = lambda kind: [SimData(0, values=[0] * SIZE if kind == DataType.REGISTERS else [False] * 64, datatype=kind)]
    return SimDevice(id=unit, use_bit_addressing=True,
                     simdata=(block(DataType.BITS), block(DataType.BITS), block(DataType.REGISTERS), block(DataType.REGISTERS)))


async def control(server):
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode(errors="replace"):
        words = line.split()
        if not words:
            continue
        if words[0] == "stop":
            return
        try:
            if words[0] != "set" or words[2] not in WRITE_CODE:
                raise ValueError("unknown command")
            unit, address, values = int(words[1]), int(words[3]), [int(word, 16) for word in words[4:]]
            await server.context.async_setValues(unit, WRITE_CODE[words[2]], address, values)
            KNOWN.setdefault((unit, words[2]), set()).update(range(address, address + len(values)))
            print("OK", flush=True)
        except (ValueError, IndexError) as error:
            print("ERROR", " ".join(words[:4]) + ":", error, flush=True)


async def main():
    global REFUSE
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--units", default="1", help="unit identifiers, separated by commas")
    options.add_argument("--refuse", action="store_true", help="refuse addresses that were never set")
    choice = options.parse_args()
    REFUSE = choice.refuse
    server = Server([device(int(unit)) for unit in choice.units.split(",")], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print("READY", server.transport.sockets[0].getsockname()[1], flush=True)
    await control(server)
    await server.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
