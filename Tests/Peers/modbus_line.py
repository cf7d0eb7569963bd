#!/usr/bin/env python3
"""A foreign Modbus TCP gateway on pymodbus with many units behind it, of which any may be silent, for the tests of shared lines.

    modbus_line.py [--port N] [--units 10]

It listens on 127.0.0.1 (port 0, the default, takes a free one), serves units 1…N, and prints, one per line:

    READY 41234         the TCP port; everything is up

Every unit has holding registers 0…99; register N holds N.

Control: one command per line on standard input, each answered by one line "OK …" or "ERROR …" on standard output.

    silent UNIT…        requests to these units get no reply
    deaf ADDRESS        requests that cover this register get no reply, from any unit
    answer              every unit replies again, to everything
    counts              OK and for each unit the requests received so far, in order
    connections         OK, connections open now, the most there were at once, and those accepted so far
    stop                ends the server (as does the end of standard input)
"""
import argparse
import asyncio
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

silent = set()
deaf = set()
counts = {}
sessions = {"open": 0, "most": 0, "accepted": 0}


class Handler(ServerRequestHandler):
    """One connection."""

    def callback_connected(self):
        sessions["accepted"] += 1
        sessions["open"] += 1
        sessions["most"] = max(sessions["most"], sessions["open"])
        super().callback_connected()

    def callback_disconnected(self, reason):
        sessions["open"] -= 1
        super().callback_disconnected(reason)

    async def handle_request(self):
        if self.last_pdu is None:
            return
        unit = self.last_pdu.dev_id
        counts[unit] = counts.get(unit, 0) + 1
        request = self.last_pdu
        if unit not in silent and not any(request.address <= one < request.address + request.count for one in deaf):
            await super().handle_request()


class Server(ModbusTcpServer):
    def callback_new_connection(self):
        return Handler(self, None, None, None)


def device(unit):
    none = [SimData(0, values=[False], datatype=DataType.BITS)]
    registers = [SimData(0, values=list(range(100)), datatype=DataType.REGISTERS)]
    return SimDevice(id=unit, simdata=(none, none, registers, registers))


def obey(words, units):
    if words[0] == "silent" and len(words) > 1:
        silent.update(int(word) for word in words[1:])
    elif words[0] == "deaf" and len(words) == 2:
        deaf.add(int(words[1]))
    elif words[0] == "answer":
        silent.clear()
        deaf.clear()
    elif words[0] == "counts":
        return [str(counts.get(unit, 0)) for unit in units]
    elif words[0] == "connections":
        return [str(sessions[key]) for key in ("open", "most", "accepted")]
    else:
        raise ValueError("unknown command")
    return words


async def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one")
    options.add_argument("--units", type=int, default=10, help="units 1 to this")
    choice = options.parse_args()
    units = range(1, choice.units + 1)

    server = Server([device(unit) for unit in units], address=("127.0.0.1", choice.port))
    await server.serve_forever(background=True)
    print("READY", server.transport.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode(errors="replace"):
        words = line.split()
        if words == ["stop"]:
            break
        if words:
            try:
                print("OK", *obey(words, units), flush=True)
            except ValueError as error:
                print("ERROR", " ".join(words) + ":", error, flush=True)
    await server.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
