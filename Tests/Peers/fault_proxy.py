#!/usr/bin/env python3
"""Stands before a TCP server and misbehaves like a network: for the tests of the uplink. Standard library only.

    fault_proxy.py --target HOST:PORT [--listen PORT] [--control SOCKET] [--seed N]

It listens on 127.0.0.1 (port 0, the default, takes a free one below the range of client ports), prints `READY PORT`, and takes orders, one
line each, from standard input and from connections to the Unix socket SOCKET. Each order is answered by one JSON line with the state and
the counts; the end of standard input ends the proxy unless there is a socket.

    pass                    everything is as it should be again
    latency MS [JITTER]     each piece arrives that much later, plus at most JITTER by chance; nothing overtakes, throughput stays
    rate BYTES_PER_S        so much each way, with small buffers: whoever sends more is held back by TCP
    cut                     nothing passes, in either direction, not even the end of a connection; new ones are taken and stay silent.
                            As with a cable, what TCP holds goes on with `pass`; new connections of the meantime are reset then
    swallow                 what arrives is taken and lost, also ends of connections: half-open for both sides, for as long as those
                            connections live; `pass` concerns new ones only
    blackhole               new connections are taken and stay silent; those there are go on. `pass` resets the silent ones
    refuse                  nobody listens; connections there are go on
    reset                   resets all connections now, the mode stays
    reset-after BYTES       resets a connection in the middle, when so many more bytes have passed through all of them
    stats                   the answer alone
    stop                    ends the proxy
"""
import argparse
import asyncio
import collections
import json
import random
import socket
import struct
import sys

PIECE = 16 << 10  # the most that is read at once
HELD_MAX = 1 << 20  # bytes on their way in one direction, unless the rate allows less
SOCKET_BUFFER = 32 << 10  # of the kernel, so that little hides from the rate


class Link:
    """The condition of the network, one for all connections."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.mode = "pass"
        self.latency = self.jitter = 0.0
        self.rate = None
        self.reset_after = None
        self.open = asyncio.Event()
        self.open.set()
        self.connections = set()
        self.counts = collections.Counter(connections=0, resets=0, bytes_up=0, bytes_down=0, swallowed=0)

    def passed(self, count):
        """Counts bytes that are about to pass, and says whether the connection shall be reset instead."""
        if self.reset_after is None:
            return False
        self.reset_after -= count
        if self.reset_after > 0:
            return False
        self.reset_after = None
        return True

    @property
    def held_max(self):
        return HELD_MAX if self.rate is None else max(1024, self.rate // 4)


class Connection:
    """One client and its way to the target."""

    def __init__(self, link, client):
        self.link, self.client, self.target = link, client, None
        self.swallows = link.mode == "swallow"
        self.silent = link.mode in ("cut", "swallow", "blackhole")

    def reset(self):
        self.link.counts["resets"] += 1
        for one in (self.client, self.target):
            close(one, with_reset=True)

    async def run(self, address):
        loop = asyncio.get_running_loop()
        if self.silent:
            # Nobody at the other end: the handshake of TCP is all that this side gets.
            await asyncio.Event().wait()
        self.target = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        narrow(self.target)
        try:
            await loop.sock_connect(self.target, address)
        except OSError:
            self.reset()
            return
        await asyncio.gather(
            Direction(self, self.client, self.target, "bytes_up").run(), Direction(self, self.target, self.client, "bytes_down").run())


class Direction:
    """What flows from one socket to the other: read, held for its time, written."""

    def __init__(self, connection, source, sink, count):
        self.connection, self.link = connection, connection.link
        self.source, self.sink, self.count = source, sink, count
        self.held = collections.deque()
        self.held_bytes = 0
        self.changed = asyncio.Event()

    async def run(self):
        try:
            await asyncio.gather(self.read(), self.write())
        except OSError:
            # A connection that swallows hides the end of one side from the other.
            if self.connection.swallows:
                close(self.source)
            else:
                self.connection.reset()

    async def wait_for_change(self):
        self.changed.clear()
        await self.changed.wait()

    async def read(self):
        loop = asyncio.get_running_loop()
        while True:
            await self.link.open.wait()
            while self.held_bytes >= self.link.held_max:
                await self.wait_for_change()
            data = await loop.sock_recv(self.source, min(PIECE, self.link.held_max))
            if self.connection.swallows:
                self.link.counts["swallowed"] += len(data)
                if not data:
                    return
                continue
            delay = self.link.latency + self.link.random.uniform(0, self.link.jitter)
            self.held.append((loop.time() + delay, data))
            self.held_bytes += len(data)
            self.changed.set()
            if not data:
                return

    async def write(self):
        loop = asyncio.get_running_loop()
        due = 0.0  # what comes later never overtakes
        while True:
            while not self.held:
                await self.wait_for_change()
            arrival, data = self.held[0]
            due = max(due, arrival)
            await asyncio.sleep(due - loop.time())
            await self.link.open.wait()
            if self.connection.swallows:
                self.link.counts["swallowed"] += len(data)
            elif not data:
                self.sink.shutdown(socket.SHUT_WR)
            else:
                await self.send(loop, data)
            self.held.popleft()
            self.held_bytes -= len(data)
            self.changed.set()
            if not data:
                return

    async def send(self, loop, data):
        """Writes at the pace of the link, in pieces of a twentieth of a second."""
        view = memoryview(data)
        while view:
            rate = self.link.rate
            piece = view if rate is None else view[: max(64, rate // 20)]
            if self.link.passed(len(piece)):
                raise ConnectionResetError
            if rate is not None:
                await asyncio.sleep(len(piece) / rate)
                await self.link.open.wait()
            if self.connection.swallows:
                self.link.counts["swallowed"] += len(view)
                return
            await loop.sock_sendall(self.sink, piece)
            self.link.counts[self.count] += len(piece)
            view = view[len(piece):]


def narrow(one):
    """Makes a socket of ours: never blocks, sends at once, and holds little."""
    one.setblocking(False)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        one.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER)


def close(one, with_reset=False):
    if one is None or one.fileno() < 0:
        return
    if with_reset:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    asyncio.get_running_loop().remove_reader(one)
    asyncio.get_running_loop().remove_writer(one)
    one.close()


class Proxy:
    def __init__(self, listen, target, seed):
        self.link = Link(seed)
        self.target = target
        self.port = listen or free_port()
        self.listener = None
        self.accepting = None
        self.tasks = {}
        self.ended = asyncio.Event()

    def listen(self):
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        narrow(self.listener)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.accepting = asyncio.create_task(self.accept())

    def stop_listening(self):
        if self.listener is None:
            return
        self.accepting.cancel()
        close(self.listener)
        self.listener = None

    async def accept(self):
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self.listener)
            narrow(client)
            self.link.counts["connections"] += 1
            connection = Connection(self.link, client)
            task = asyncio.create_task(self.serve(connection))
            self.tasks[connection] = task

    async def serve(self, connection):
        try:
            await connection.run(self.target)
        except OSError:
            connection.reset()
        finally:
            close(connection.client)
            close(connection.target)
            self.tasks.pop(connection, None)

    def reset(self, wanted=lambda connection: True):
        for connection, task in list(self.tasks.items()):
            if wanted(connection):
                connection.reset()
                task.cancel()

    def set_mode(self, mode, numbers):
        link = self.link
        latency, jitter, rate = 0.0, 0.0, None
        if mode == "latency" and len(numbers) in (1, 2):
            latency, jitter = (number / 1000 for number in (numbers + [0.0])[:2])
        elif mode == "rate" and len(numbers) == 1 and numbers[0] >= 1:
            rate = int(numbers[0])
        elif mode not in ("pass", "cut", "swallow", "blackhole", "refuse") or numbers:
            raise ValueError("expected pass, latency MS [JITTER], rate BYTES_PER_S, cut, swallow, blackhole, refuse, reset, reset-after BYTES, "
                             "stats or stop")
        link.latency, link.jitter, link.rate = latency, jitter, rate
        link.mode = mode
        if mode == "swallow":
            for connection in self.tasks:
                connection.swallows = True
        if mode == "cut":
            link.open.clear()
        else:
            link.open.set()
        if mode in ("pass", "latency", "rate"):
            self.reset(lambda connection: connection.silent)
        if mode == "refuse":
            self.stop_listening()
        elif self.listener is None:
            self.listen()

    def order(self, line):
        """Obeys one line and gives the answer."""
        try:
            word, *rest = line.split()
            numbers = [float(text) for text in rest]
            if any(number < 0 for number in numbers):
                raise ValueError("numbers must not be negative")
            if word == "reset" and not numbers:
                self.reset()
            elif word == "reset-after" and len(numbers) == 1:
                self.link.reset_after = int(numbers[0])
            elif word == "stop":
                self.ended.set()
            elif word != "stats":
                self.set_mode(word, numbers)
        except (ValueError, OverflowError) as error:
            return json.dumps({"error": str(error)})
        return json.dumps({"mode": self.link.mode, "live": len(self.tasks), **self.link.counts})

    async def control(self, reader, writer):
        try:
            while line := await reader.readline():
                if line.strip():
                    writer.write((self.order(line.decode(errors="replace")) + "\n").encode())
                    await writer.drain()
        except (ConnectionError, ValueError):
            pass  # an order beyond the limit of a line, or nobody waits for the answer
        writer.close()

    async def standard_input(self, ends):
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            if line.strip():
                print(self.order(line.decode(errors="replace")), flush=True)
        if ends:
            self.ended.set()


def free_port():
    """A port below the range from which clients get theirs, so that none takes it while nobody listens."""
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise SystemExit("no free port")


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", required=True, help="HOST:PORT")
    parser.add_argument("--listen", type=int, default=0)
    parser.add_argument("--control", help="path of a Unix socket for orders")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    host, _, port = options.target.rpartition(":")
    proxy = Proxy(options.listen, (host, int(port)), options.seed)
    proxy.listen()
    if options.control:
        await asyncio.start_unix_server(proxy.control, options.control)
    input_task = asyncio.create_task(proxy.standard_input(ends=not options.control))
    print(f"READY {proxy.port}", flush=True)
    await proxy.ended.wait()
    input_task.cancel()
    proxy.stop_listening()
    proxy.reset()


if __name__ == "__main__":
    asyncio.run(main())
