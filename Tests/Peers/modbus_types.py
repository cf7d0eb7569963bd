#!/usr/bin/env python3
"""A foreign Modbus TCP device on pymodbus whose values Python's struct wrote, in every type and byte order.

    modbus_types.py [--seed N] [--alive]

It listens on a free port of 127.0.0.1 and prints, one per line:

    TAG {name: …, address: …, …}     what a protocol definition says of a value
    EXPECT NAME VALUE                what must be read: a number or a text, `bad` for a value that is none
    READY 41234                      the TCP port; everything is up

With --alive it is instead a meter whose values move a little at every read of holding registers: some float32 and a counter with the low word
first, a 64-bit counter, a text, a status and a temperature in tenths, in three ranges with nothing between them. It says what it is (43/14), and
prints TRUTH lines (name, address, type, order). Ends when standard input does.
"""
import argparse
import asyncio
import math
import random
import struct
import sys

from pymodbus import ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

ORDERS = {2: ["AB", "BA"], 4: ["ABCD", "CDAB", "BADC", "DCBA"],
          8: ["ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "EFGHABCD", "CDABGHEF"]}
WORDS = {"AB": "ABCD", "BA": "BADC"}


def registers(data, letters):
    """Big-endian bytes in the order of the letters, as registers."""
    ordered = bytes(data[ord(letter) - ord("A")] for letter in letters)
    return list(struct.unpack(f">{len(ordered) // 2}H", ordered))


def bcd(number, size):
    return bytes.fromhex(str(number).zfill(2 * size))


class Map:
    """Values one after another from address 0."""

    def __init__(self):
        self.content, self.lines = [], []

    def add(self, keys, data, expected):
        name = f"t{len(self.lines)}"
        bit = f".{keys.pop('bit')}" if "bit" in keys else ""
        text = ", ".join(f"{key}: {value}" for key, value in keys.items())
        self.lines.append(f'TAG {{name: {name}, address: "holding:{len(self.content)}{bit}", {text}}}')
        self.lines.append(f"EXPECT {name} {expected}")
        self.content += data


def typed(generator):
    values = Map()
    whole = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q"}
    for name, code in whole.items():
        size = struct.calcsize(">" + code)
        for letters in ORDERS[size]:
            bits = generator.getrandbits(8 * size).to_bytes(size, "big")
            values.add({"type": name, "byteOrder": WORDS.get(letters, letters)}, registers(bits, letters), struct.unpack(">" + code, bits)[0])
    for name, code in {"float16": "e", "float32": "f", "float64": "d"}.items():
        size = struct.calcsize(">" + code)
        for letters in ORDERS[size]:
            data = struct.pack(">" + code, generator.uniform(-60000, 60000))
            values.add({"type": name, "byteOrder": WORDS.get(letters, letters)}, registers(data, letters), repr(struct.unpack(">" + code, data)[0]))
    for name, size in {"bcd16": 2, "bcd32": 4, "bcd64": 8}.items():
        for letters in ORDERS[size]:
            number = generator.randrange(10 ** (2 * size))
            values.add({"type": name, "byteOrder": WORDS.get(letters, letters)}, registers(bcd(number, size), letters), number)
    values.add({"type": "uint8", "byte": "high"}, [0xA511], 0xA5)
    values.add({"type": "int8", "byte": "low"}, [0x11A5], -91)
    values.add({"type": "uint8", "bitCount": 3, "bit": 4}, [0xFFDF], 5)
    values.add({"type": "bool", "bit": 7}, [0x0080], "true")
    values.add({"type": "int16", "fractionBits": 8}, [0xFE80], -1.5)
    values.add({"type": "string", "length": 6}, registers("Aé!".encode().ljust(6, b"\0"), "ABCDEF"), "Aé!")
    values.add({"type": "string", "length": 6, "byteOrder": "BADC", "fill": 255, "encoding": "ascii"}, registers(b"ABC\xff\xff\xff", "BADCFE"), "ABC")
    values.add({"type": "int16", "scale": 0.1, "notAvailable": "0x8000"}, [0x8000], "bad")
    values.add({"type": "float32"}, registers(struct.pack(">f", math.nan), "ABCD"), "bad")
    values.add({"type": "bcd16"}, [0x12A4], "bad")
    values.add({"type": "int16", "table": "[[0, 0], [100, 50], [200, 500]]"}, [150], 275.0)
    values.add({"type": "int16", "table": "[[0, 0], [100, 50]]"}, [101], "bad")
    values.add({"type": "int16", "scale": 0.1, "valid": "{min: 0, max: 10}"}, [101], "bad")
    return values


class Meter:
    """The living device; `step` moves it."""

    def __init__(self, generator):
        self.generator, self.steps = generator, 0

    TRUTH = [
        "holding:0 float32 CDAB", "holding:2 float32 CDAB", "holding:4 float32 CDAB", "holding:6 float32 CDAB", "holding:8 uint32 CDAB",
        "holding:20 string -", "holding:40 int16 -", "holding:41 uint16 -", "holding:300 uint64 CDAB", "holding:304 float64 CDAB",
    ]

    def blocks(self):
        wave = math.sin(self.steps / 7)
        noise = lambda size: self.generator.gauss(0, size)
        floats = [50 + 0.02 * wave + noise(0.002), 231.5 + wave + noise(0.1), 12.25 + 0.3 * wave + noise(0.02), 8450 + 150 * wave + noise(5)]
        low = [word for value in floats for word in registers(struct.pack(">f", value), "CDAB")]
        low += registers(struct.pack(">I", 1234500 + 3 * self.steps), "CDAB") + [0] * 10
        low += registers(b"ACME PM-3000 v1.7".ljust(24, b"\0"), "".join(chr(65 + n) for n in range(24))) + [0] * 8
        low += [(235 + round(4 * wave)) & 0xFFFF, 3]
        high = registers(struct.pack(">Q", 98765432100 + 250 * self.steps), "GHEFCDAB")
        high += registers(struct.pack(">d", 1013.25 + 2 * wave), "GHEFCDAB")
        return {0: low, 300: high}

    def step(self):
        self.steps += 1
        return self.blocks()


class Handler(ServerRequestHandler):
    async def handle_request(self):
        request = self.last_pdu
        meter = self.server.meter
        if meter and request is not None and request.function_code == 3:
            for address, content in meter.step().items():
                await self.server.context.async_setValues(request.dev_id, 16, address, content)
        await super().handle_request()


class Server(ModbusTcpServer):
    meter = None

    def callback_new_connection(self):
        return Handler(self, None, None, None)


def device(blocks):
    holding = [SimData(address, values=content, datatype=DataType.REGISTERS) for address, content in blocks.items()]
    bits = lambda: [SimData(0, values=[n % 3 == 0 for n in range(16)], datatype=DataType.BITS)]
    return SimDevice(id=1, use_bit_addressing=True,
                     simdata=(bits(), bits(), holding, [SimData(0, values=[7, 8, 9], datatype=DataType.REGISTERS)]))


async def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--alive", action="store_true")
    choice = options.parse_args()
    generator = random.Random(choice.seed)
    meter = Meter(generator) if choice.alive else None
    values = None if meter else typed(generator)
    identity = ModbusDeviceIdentification(info={0: "ACME", 1: "PM-3000", 2: "1.7"})
    server = Server([device(meter.blocks() if meter else {0: values.content})], address=("127.0.0.1", 0), identity=identity)
    server.meter = meter
    await server.serve_forever(background=True)
    for line in [f"TRUTH {line}" for line in Meter.TRUTH] if meter else values.lines:
        print(line)
    print("READY", server.transport.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
