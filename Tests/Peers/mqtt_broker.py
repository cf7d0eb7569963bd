"""A broker for MQTT 5.0 and 3.1.1 that misbehaves as it is told: a test double, written from the standards, without any MQTT library.

    mqtt_broker.py '{"connack": 135}' '{"puback": [151, 0]}'

Each argument is what one connection meets, as JSON; the last one holds for all that follow. Keys:

    versions        list of protocol levels that are accepted ([4, 5]); others are refused as their own version would (3.1.1: return code 1)
    connack         reason code of CONNACK (0)
    properties      CONNACK properties: receiveMaximum, maximumQoS, retainAvailable, maximumPacketSize, topicAliasMaximum, serverKeepAlive,
                    reasonString, serverReference, sharedAvailable, assignedClientID
    silent          true: never answers CONNECT
    puback          list of reason codes for PUBACK, one after the other, the last one for ever ([0])
    pubackText      reason string beside a PUBACK with an error
    acknowledge     "once" (default), "never", "twice", "unknown" (other identifiers too), "late" (all of them after 300 ms, backwards)
    suback          reason code of SUBACK (1)
    disconnect      {"after": n, "reason": code}: DISCONNECT instead of the answer to the nth PUBLISH; 0: right after CONNACK
    drop            n: closes without a word instead of the answer to the nth PUBLISH; 0: right after CONNACK
    raw             bytes in hexadecimal, sent right after CONNACK
    rawFirst        bytes in hexadecimal, sent instead of CONNACK
    endless         true: after CONNACK sends the beginning of a packet of 256 MB, and then bytes until the client has gone
    send            list of messages for a subscriber: {"topic": …, "payload": …, "qos": 1, "id": n, "count": n, "dup": true, "user": [[a, b]]};
                    "eager": true ignores the client's receive maximum

It prints one JSON document per line: listening, connect, publish, puback, subscribe, disconnect, ping, lost, closed.
"""

import asyncio
import json
import sys

PROPERTIES = {
    "receiveMaximum": (0x21, 2),
    "maximumQoS": (0x24, 1),
    "retainAvailable": (0x25, 1),
    "maximumPacketSize": (0x27, 4),
    "topicAliasMaximum": (0x22, 2),
    "serverKeepAlive": (0x13, 2),
    "sharedAvailable": (0x2A, 1),
    "reasonString": (0x1F, "text"),
    "serverReference": (0x1C, "text"),
    "assignedClientID": (0x12, "text"),
}
# Bytes of a property's value by its identifier (MQTT 5.0, Table 2-4).
SIZES = {
    0x01: 1, 0x02: 4, 0x03: "text", 0x08: "text", 0x09: "text", 0x0B: "variable", 0x11: 4, 0x12: "text", 0x13: 2, 0x15: "text",
    0x16: "text", 0x17: 1, 0x18: 4, 0x19: 1, 0x1A: "text", 0x1C: "text", 0x1F: "text", 0x21: 2, 0x22: 2, 0x23: 2, 0x24: 1, 0x25: 1,
    0x26: "pair", 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip


def say(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)


def variable(value):
    out = bytearray()
    while True:
        value, byte = value >> 7, value & 0x7F
        out.append(byte | 0x80 if value else byte)
        if not value:
            return bytes(out)


def text(value):
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def properties(values):
    out = b""
    for name, value in (values or {}).items():
        identifier, size = PROPERTIES[name]
        out += bytes([identifier]) + (text(value) if size == "text" else int(value).to_bytes(size, "big"))
    return variable(len(out)) + out


class Fields:
    """Takes fields off a packet."""

    def __init__(self, raw):
        self.raw = raw
        self.at = 0

    def take(self, count):
        assert self.at + count <= len(self.raw), "a packet of the client ends too early"
        self.at += count
        return self.raw[self.at - count : self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def text(self):
        return self.take(self.number(2)).decode()

    def variable(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def properties(self):
        end = self.variable() + self.at
        found, user = {}, []
        while self.at < end:
            identifier = self.number(1)
            size = SIZES[identifier]
            if size == "pair":
                user.append([self.text(), self.text()])
            elif size == "text":
                found[f"{identifier:02x}"] = self.take(self.number(2)).decode(errors="replace")
            elif size == "variable":
                found[f"{identifier:02x}"] = self.variable()
            else:
                found[f"{identifier:02x}"] = self.number(size)
        assert self.at == end, "the client's properties have another length than they say"
        return found, user


class Connection:
    def __init__(self, number, script, reader, writer):
        self.number, self.script, self.reader, self.writer = number, script, reader, writer
        self.level = 5
        self.published = 0
        self.topics = {}
        self.window = asyncio.Semaphore(0)
        self.tasks = []

    def packet(self, header, body=b""):
        self.writer.write(bytes([header]) + variable(len(body)) + body)

    async def read(self):
        header = (await self.reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        return header, Fields(await self.reader.readexactly(length))

    async def run(self):
        try:
            while True:
                header, fields = await self.read()
                if not await self.handle(header, fields):
                    await self.writer.drain()
                    say("closed", connection=self.number)
                    break
                await self.writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            say("lost", connection=self.number)
        finally:
            for task in self.tasks:
                task.cancel()
            self.writer.close()

    async def handle(self, header, fields):
        kind = header >> 4
        if kind == 1:
            return await self.connect(fields)
        if kind == 3:
            return await self.publish(header, fields)
        if kind == 4:
            identifier = fields.number(2)
            reason = fields.number(1) if fields.at < len(fields.raw) else 0
            say("puback", connection=self.number, id=identifier, reason=reason)
            self.window.release()
        elif kind == 8:
            identifier = fields.number(2)
            if self.level == 5:
                fields.properties()
            topics = []
            while fields.at < len(fields.raw):
                topics.append([fields.text(), fields.number(1)])
            say("subscribe", connection=self.number, topics=topics)
            answer = identifier.to_bytes(2, "big") + (b"\0" if self.level == 5 else b"")
            self.packet(0x90, answer + bytes([self.script.get("suback", 1)]) * len(topics))
            if "send" in self.script:
                self.tasks.append(asyncio.create_task(self.send()))
        elif kind == 12:
            say("ping", connection=self.number)
            self.packet(0xD0)
        elif kind == 14:
            reason = fields.number(1) if fields.at < len(fields.raw) else 0
            say("disconnect", connection=self.number, reason=reason)
            return False
        return True

    async def connect(self, fields):
        script = self.script
        assert fields.text() == "MQTT"
        self.level = fields.number(1)
        flags = fields.number(1)
        keep_alive = fields.number(2)
        found, user = fields.properties() if self.level == 5 else ({}, [])
        client = fields.text()
        will = None
        if flags & 4:
            will_properties = fields.properties()[0] if self.level == 5 else {}
            will = {"topic": fields.text(), "bytes": len(fields.take(fields.number(2))), "properties": will_properties}
        say("connect", connection=self.number, level=self.level, clean=bool(flags & 2), keepAlive=keep_alive, client=client,
            properties=found, will=will)  # fmt: skip
        if script.get("silent"):
            return True
        if "rawFirst" in script:
            self.writer.write(bytes.fromhex(script["rawFirst"]))
            return True
        if self.level not in script.get("versions", [4, 5]):
            self.packet(0x20, b"\0\1" if 5 not in script["versions"] else b"\0\x84\0")
            return False
        reason = script.get("connack", 0)
        self.window = asyncio.Semaphore(10**9 if script.get("eager") else found.get("21", 65535))
        self.packet(0x20, bytes([0, reason]) + (properties(script.get("properties")) if self.level == 5 else b""))
        if reason:
            return False
        if "raw" in script:
            self.writer.write(bytes.fromhex(script["raw"]))
        if script.get("drop") == 0:
            return False
        if script.get("disconnect", {}).get("after") == 0:
            self.packet(0xE0, bytes([script["disconnect"]["reason"], 0]))
            return False
        if script.get("endless"):
            self.writer.write(b"\x30\xff\xff\xff\x7f")
            while True:
                self.writer.write(b"A" * 65536)
                await self.writer.drain()
        return True

    async def publish(self, header, fields):
        script = self.script
        qos = header >> 1 & 3
        topic = fields.text()
        identifier = fields.number(2) if qos else 0
        found, user = fields.properties() if self.level == 5 else ({}, [])
        alias = found.get("23")
        if alias is not None:
            maximum = (script.get("properties") or {}).get("topicAliasMaximum", 0)
            assert 0 < alias <= maximum, f"the client uses alias {alias}, at most {maximum} are allowed"
            if topic:
                self.topics[alias] = topic
        said, topic = topic, topic or self.topics[alias]
        payload = fields.raw[fields.at :]
        if qos:
            self.published += 1
        say("publish", connection=self.number, topic=topic, said=said, qos=qos, id=identifier, bytes=len(payload),
            retain=bool(header & 1), dup=bool(header & 8), properties=found, user=user, packet=len(fields.raw))  # fmt: skip
        if not qos:
            return True
        if script.get("drop") == self.published:
            return False
        ending = script.get("disconnect", {})
        if ending.get("after") == self.published:
            self.packet(0xE0, bytes([ending["reason"], 0]))
            return False
        codes = script.get("puback", [0])
        code = codes[min(self.published, len(codes)) - 1]
        manner = script.get("acknowledge", "once")
        if manner == "late":
            self.late = getattr(self, "late", [])
            self.late.append((identifier, code))
            if len(self.late) == 1:
                self.tasks.append(asyncio.create_task(self.acknowledge_late()))
        elif manner != "never":
            if manner == "unknown":
                for other in (identifier ^ 0x8000, identifier ^ 0x4000, 0xFFFF):
                    self.acknowledge(other, 0)
            self.acknowledge(identifier, code)
            if manner == "twice":
                self.acknowledge(identifier, code)
        return True

    def acknowledge(self, identifier, code):
        body = identifier.to_bytes(2, "big")
        if self.level == 5 and code:
            said = self.script.get("pubackText")
            body += bytes([code]) + (properties({"reasonString": said}) if said else b"")
        self.packet(0x40, body)

    async def acknowledge_late(self):
        await asyncio.sleep(0.3)
        for identifier, code in reversed(self.late):
            self.acknowledge(identifier, code)
        self.late = []
        await self.writer.drain()

    async def send(self):
        identifier = 0
        for message in self.script["send"]:
            for index in range(message.get("count", 1)):
                qos = message.get("qos", 1)
                if qos:
                    await self.window.acquire()
                identifier = message.get("id", identifier + 1)
                user = b"".join(b"\x26" + text(name) + text(value) for name, value in message.get("user", []))
                body = text(message["topic"]) + (identifier.to_bytes(2, "big") if qos else b"") + variable(len(user)) + user
                payload = message["payload"].replace("#", str(index))
                self.packet(0x30 | qos << 1 | (8 if message.get("dup") else 0), body + payload.encode())
                await self.writer.drain()


async def main(scripts):
    count = 0

    async def serve(reader, writer):
        nonlocal count
        script = scripts[min(count, len(scripts) - 1)]
        count += 1
        await Connection(count, script, reader, writer).run()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    say("listening", port=server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


asyncio.run(main([json.loads(argument) for argument in sys.argv[1:]] or [{}]))
