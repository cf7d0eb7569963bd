#!/usr/bin/env python3
"""Stands between a client and a server and counts the connections, for tests of what is left alone.

    counting_relay.py PORT

Listens on a free port of 127.0.0.1 and passes everything on to PORT and back. Prints, one per line:

    READY 41234         the port it listens on
    OPEN 1              the first connection was made; OPEN 2 the second, and so on
    CLOSED 1            the first connection ended, whoever ended it
"""
import asyncio
import sys


class Relay:
    def __init__(self, port):
        self.port = port
        self.count = 0

    async def serve(self, reader, writer):
        self.count += 1
        number = self.count
        print("OPEN", number, flush=True)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
            directions = [asyncio.create_task(self.carry(*pair)) for pair in ((reader, far_writer), (far_reader, writer))]
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
            for direction in directions:
                direction.cancel()
            far_writer.close()
        except OSError:
            pass
        writer.close()
        print("CLOSED", number, flush=True)

    @staticmethod
    async def carry(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass


async def main():
    server = await asyncio.start_server(Relay(int(sys.argv[1])).serve, "127.0.0.1", 0)
    print("READY", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
