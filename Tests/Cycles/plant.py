#!/usr/bin/env python3
"""Modbus TCP devices that keep a record of every poll they served. Standard library only.

    plant.py --record FILE [--devices N] [--checks K]

Each device listens on a port of its own on 127.0.0.1; `READY PORT…` tells them in order. Holding registers 0 and 1 are a poll number (uint32,
big end first) that rises by one with every read that covers register 0, so that no two polls are alike; registers 2…K+1 are made of
the poll number by `check_value`. For every such read a line `DEVICE NUMBER TIME` goes to FILE before the answer goes out: what was served
is there, whatever becomes of the rest. TIME is nanoseconds since 1970, UTC. Ends on SIGTERM.
"""
import argparse
import asyncio
import random
import socket
import struct
import sys
import time

COUNTER_REGISTERS = 2


def check_value(number, index):
    """The value of check register `index` in the poll of this number: 16 bits that tell polls and registers apart."""
    return ((number * 2654435761 >> 7) + index * 40503 + number) & 0xFFFF


def registers(number, checks):
    return [number >> 16 & 0xFFFF, number & 0xFFFF] + [check_value(number, index) for index in range(checks)]


class Device:
    def __init__(self, name, checks, record):
        self.name, self.checks, self.record, self.number = name, checks, record, 0

    async def serve(self, reader, writer):
        try:
            while True:
                transaction, protocol, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                if protocol != 0 or not 2 <= length <= 254:
                    break
                writer.write(struct.pack(">HHH", transaction, 0, 0)[:4] + self.answer(unit, await reader.readexactly(length - 1)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    def answer(self, unit, request):
        function = request[0]
        if function != 3 or len(request) != 5:
            return struct.pack(">HBBB", 3, unit, function | 0x80, 1)
        first, count = struct.unpack(">HH", request[1:])
        if not 1 <= count <= 125 or first + count > COUNTER_REGISTERS + self.checks:
            return struct.pack(">HBBB", 3, unit, function | 0x80, 2)
        if first == 0:
            self.number += 1
            self.record.write(f"{self.name} {self.number} {time.time_ns()}\n")
        values = registers(self.number, self.checks)[first : first + count]
        return struct.pack(">HBBB", 3 + 2 * count, unit, 3, 2 * count) + struct.pack(f">{count}H", *values)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", required=True)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--checks", type=int, default=8)
    options = parser.parse_args()
    record = open(options.record, "a", buffering=1, encoding="ascii")
    ports = []
    for index in range(options.devices):
        device = Device(f"machine-{index + 1}", options.checks, record)
        listener = socket.socket()
        # Below the range from which clients get their ports.
        while True:
            try:
                listener.bind(("127.0.0.1", random.randrange(20_000, 32_000)))
                break
            except OSError:
                continue
        await asyncio.start_server(device.serve, sock=listener)
        ports.append(listener.getsockname()[1])
    print("READY", *ports, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
