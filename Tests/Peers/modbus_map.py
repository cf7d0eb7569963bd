#!/usr/bin/env python3
"""A foreign Modbus TCP server on pymodbus that has only some holding registers: pymodbus itself refuses the others with exception 02.

    modbus_map.py RANGES

RANGES are the registers there are, for example 0-9,12-30; register N holds N. It listens on a free port of 127.0.0.1 and prints

    READY 41234         the TCP port; everything is up

Control, one command per line on standard input:

    count           answers "OK READ REFUSED": how many reads were answered with data and with an exception since the last count
    stop            ends the server (as does the end of standard input)
"""
import asyncio
import sys

from pymodbus.pdu import ExceptionResponse
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

COUNTS = {"read": 0, "refused": 0}


class CountingHandler(ServerRequestHandler):
    """One connection; counts what it answers."""

    def server_send(self, pdu, addr):
        COUNTS["refused" if isinstance(pdu, ExceptionResponse) or pdu.function_code >= 0x80 else "read"] += 1
        super().server_send(pdu, addr)


class MapServer(ModbusTcpServer):
    def callback_new_connection(self):
        return CountingHandler(self, None, None, None)


def device(ranges):
    blocks = []
    for text in ranges.split(","):
        first, _, last = text.partition("-")
        first, last = int(first), int(last or first)
        blocks.append(SimData(first, values=list(range(first, last + 1)), datatype=DataType.REGISTERS))
    return SimDevice(id=1, simdata=blocks)


async def main():
    server = MapServer([device(sys.argv[1])], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print("READY", server.transport.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode(errors="replace").strip():
        if line == "stop":
            break
        if line == "count":
            print("OK", COUNTS["read"], COUNTS["refused"], flush=True)
            COUNTS.update(read=0, refused=0)
        else:
            print("ERROR unknown command", line, flush=True)
    await server.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
