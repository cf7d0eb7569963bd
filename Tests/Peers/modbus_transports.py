#!/usr/bin/env python3
"""A foreign Modbus server on pymodbus for one transport, with the values, faults and commands of modbus_server.py and some more faults.

    modbus_transports.py TRANSPORT [--units 1,17] [--ca FILE --certificate FILE --key FILE]

    TRANSPORT   tcp, tls, udp, rtu-over-tcp, ascii-over-tcp: listens on a free port of 127.0.0.1
                rtu, ascii: serves one end of a pair of pseudo terminals made by socat, 8N1

It prints "READY 41234" or "READY /dev/pts/7" when it is up. With tls it asks clients for a certificate of the authority. Besides reads and
writes it answers 43/14 with the identification below.

Further faults, for replies to reads:

    duplicate       every reply twice               noise           three bytes of noise in front of the reply
    bytes MS        one byte at a time, with that pause
"""
import argparse
import asyncio
import ctypes
import os
import re
import signal
import ssl
import sys

from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer

import modbus_server
from modbus_server import FAULTS, FaultyHandler, control, device, spoiled

IDENTITY = {0x00: "Acme", 0x01: "FP-7", 0x02: "V3.1", 0x03: "https://acme.example", 0x04: "Feed pump", 0x05: "FP-7/400", 0x06: "Line 1"}
NOISE = b"\x00\xff\x55"


class Faults(modbus_server.Faults):
    KINDS = modbus_server.Faults.KINDS + ["duplicate", "noise"]

    def command(self, words):
        if words[0] == "bytes":
            left = int(words[-1]) if words[-2] == "times" else None
            self.kind, self.number, self.span, self.left = "bytes", int(words[1]), None, left
        else:
            super().command(words)


FAULTS.__class__ = Faults


class Handler(FaultyHandler):
    """The faults that the plain server does not have, and those of ASCII frames."""

    def send(self, data, addr=None):
        fault = self.fault
        if fault == "duplicate":
            self.fault = None
            super().send(data, addr=addr)
            super().send(data, addr=addr)
        elif fault == "noise":
            self.fault = None
            super().send(NOISE + data, addr=addr)
        elif fault == "bytes":
            self.fault = None
            for index, byte in enumerate(data):
                self.loop.call_later(index * FAULTS.number / 1000, self.send_if_open, bytes([byte]), addr)
        elif self.server.ascii and fault not in (None, "delay", "close", "drop", "exception"):
            self.fault = None
            super().send(spoiled_text(fault, data), addr=addr)
        else:
            super().send(data, addr=addr)


def spoiled_text(fault, data):
    """An ASCII frame with the fault in it; a right LRC unless the fault is a wrong one."""
    if fault == "truncated":
        return data[: len(data) // 2]
    if fault == "trailing":
        return data + b"\xde\xad"
    if fault == "corrupt":
        return data[:7] + (b"0" if data[7:8] != b"0" else b"1") + data[8:]
    body = bytes.fromhex(data[1:-4].decode())
    body = spoiled(fault, bytearray(body + b"\0\0"), True)[:-2]
    return b":" + (body + bytes([-sum(body) & 0xFF])).hex().upper().encode() + b"\r\n"


def served_by(base, is_serial, is_ascii=False):
    class Server(base):
        serial = is_serial
        ascii = is_ascii

        def callback_new_connection(self):
            return Handler(self, None, None, None)

    return Server


def end_with_parent():
    """Tells the kernel to end this process together with the one that started it (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


async def terminals():
    """The two ends of a pair of pseudo terminals, and the socat that joins them."""
    process = await asyncio.create_subprocess_exec(
        "socat", "-d", "-d", "pty,raw,echo=0", "pty,raw,echo=0", stderr=asyncio.subprocess.PIPE, preexec_fn=end_with_parent)
    names = []
    while len(names) < 2:
        line = (await process.stderr.readline()).decode()
        if not line:
            raise SystemExit("socat ended")
        names += re.findall(r"PTY is (\S+)", line)
    return names, process


def secured(choice):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if choice.newest == "1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(choice.certificate, choice.key)
    context.load_verify_locations(choice.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("transport")
    options.add_argument("--units", default="1,17", help="unit identifiers, separated by commas")
    options.add_argument("--ca")
    options.add_argument("--certificate")
    options.add_argument("--key")
    options.add_argument("--newest", default="1.3", help="the newest TLS version that is spoken")
    choice = options.parse_args()
    devices = [device(int(unit)) for unit in choice.units.split(",")]
    identity = ModbusDeviceIdentification(info=IDENTITY)
    address = {"address": ("127.0.0.1", 0), "identity": identity}
    socat = None
    match choice.transport:
        case "tcp":
            server = served_by(ModbusTcpServer, False)(devices, **address)
        case "udp":
            server = served_by(ModbusUdpServer, False)(devices, **address)
        case "tls":
            # The library's own framing for TLS has no header, which the specification wants.
            server = served_by(ModbusTlsServer, False)(devices, framer=FramerType.SOCKET, sslctx=secured(choice), **address)
        case "rtu-over-tcp":
            server = served_by(ModbusTcpServer, True)(devices, framer=FramerType.RTU, **address)
        case "ascii-over-tcp":
            server = served_by(ModbusTcpServer, True, True)(devices, framer=FramerType.ASCII, **address)
        case "rtu" | "ascii":
            names, socat = await terminals()
            framer = FramerType.RTU if choice.transport == "rtu" else FramerType.ASCII
            server = served_by(ModbusSerialServer, True, choice.transport == "ascii")(
                devices, framer=framer, identity=identity, port=names[0], baudrate=115200, parity="N")
        case other:
            raise SystemExit(f"transport is {other}")
    await server.serve_forever(background=True)
    if socat:
        print("READY", names[1], flush=True)
    else:
        transport = server.transport
        bound = transport.sockets[0] if hasattr(transport, "sockets") else transport.get_extra_info("socket")
        print("READY", bound.getsockname()[1], flush=True)
    await control([server])
    if socat:
        socat.kill()
        await socat.wait()
    # The library waits for clients that have not closed.
    os._exit(0)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
