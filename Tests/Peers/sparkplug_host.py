#!/usr/bin/env python3
"""An independent Sparkplug B 3.0 host application, on Eclipse Tahu's protobuf and paho-mqtt, that keeps the whole state of every edge node
and checks it over long runs with broken links; and the breaker of those links.

    sparkplug_host.py --port N [--host-id ID] [--expect FILE]

--expect names a JSON file {"device": ["metric", …]}: what the births of each device must have, no more and no less. With --host-id it is a
primary host: it publishes its STATE. It also listens as a relay before the broker, for the edge node to connect through.

It prints one JSON object per line: {"relay": PORT, "ready": true} first, {"subscribed": true} after every further connection to the broker,
{"violation": …} for each breach of the standard, and answers to the commands it takes on standard input:

    cut                      both ends of the edge node's connections are closed
    halfopen                 the edge node's end is closed, the broker is left with a dead connection
    block, unblock           connections are refused, and those there are closed; accepted again
    rebirth GROUP NODE       asks for all births
    write GROUP NODE DEVICE NAME TYPE VALUE [AGE]   sends a DCMD, by name; AGE milliseconds old
    alias GROUP NODE DEVICE NAME TYPE VALUE         the same by the alias of the last birth
    raw TOPIC HEX            publishes these bytes
    state online|offline TIME    publishes the STATE with this time, retained
    report                   {"report": {…}}: counts; per stream the keys that came, and whether first sights were in order

Beyond what sparkplug_decoder.py checks: the will of a session has the bdSeq of its births, and bdSeq moves on by one; births have exactly the expected
metrics; template instances have the members of a definition of the NBIRTH; what is not historical is never older than what came before;
what is historical was taken before the session's births, or at least before it was sent; the value of a metric named "count" is the sequence of its batch.
"""
import argparse
import json
import queue
import signal
import socket
import sys
import threading
import time

import paho.mqtt.client as mqtt
from tahutils.tahu.sparkplug_b_pb2 import DataType, Payload

from sparkplug_decoder import FIELD, REBIRTH, Checker


class Host(Checker):
    """Keeps more of every node than the decoder does, and holds it against more rules."""

    def __init__(self, expected):
        super().__init__(late=False, ask_for_rebirth=None)
        self.expected = expected
        self.keys = {}  # (node, stream) → [set of sequences, newest first sight, in order]
        self.duplicates = 0
        self.historical = 0
        self.rebirths = 0
        self.deaths = 0
        self.bd_seq = {}  # node → bdSeq of the last birth of a new session
        self.definitions = {}  # node → {name: [member]}
        self.newest = {}  # (node, device, name) → time of the newest value that was not historical
        self.born_at = {}  # node → time of its NBIRTH
        self.values = {}  # (node, device, name) → last value

    def say(self, line):
        if "type" not in line:
            super().say(line)

    def node_of(self, topic):
        parts = topic.split("/")
        return parts[1], parts[3]

    def message(self, topic, body, qos, retained):
        parts = topic.split("/")
        if len(parts) in (4, 5) and parts[1] != "STATE" and parts[2] not in ("NCMD", "DCMD"):
            try:
                payload = Payload.FromString(body)
            except Exception:
                return super().message(topic, body, qos, retained)  # which says so
            kind, device = parts[2], parts[4] if len(parts) == 5 else None
            self.flatten(topic, kind, payload)
            super().message(topic, payload.SerializeToString(), qos, retained)
            self.follow(topic, kind, device, payload)

    def flatten(self, topic, kind, payload):
        """Puts the members of template instances in their place, after they were held against their definitions."""
        node = self.node_of(topic)
        if kind == "NBIRTH":
            self.definitions[node] = {}
        flat = []
        for metric in payload.metrics:
            if metric.WhichOneof("value") != "template_value":
                flat.append(metric)
                continue
            template = metric.template_value
            if not template.HasField("is_definition"):
                self.violation(topic, f"template {metric.name} does not say whether it is a definition")
            if template.is_definition:
                if kind != "NBIRTH" or template.HasField("template_ref"):
                    self.violation(topic, f"definition {metric.name} in a {kind}, with reference '{template.template_ref}'")
                self.definitions[node][metric.name] = [member.name for member in template.metrics]
                continue
            members = self.definitions.get(node, {}).get("_types_/" + template.template_ref)
            if members is None:
                self.violation(topic, f"instance of '{template.template_ref}', of which the NBIRTH has no definition")
            elif kind == "DBIRTH" and [member.name for member in template.metrics] != members:
                self.violation(topic, f"instance of '{template.template_ref}' has other members than its definition")
            if not metric.HasField("timestamp"):
                self.violation(topic, "a template instance has no timestamp")
            flat += template.metrics
        copies = [type(metric).FromString(metric.SerializeToString()) for metric in flat]
        del payload.metrics[:]
        payload.metrics.extend(copies)

    def follow(self, topic, kind, device, payload):
        node = self.node_of(topic)
        if kind == "NBIRTH":
            self.born_at[node] = payload.timestamp
            number = next((metric.long_value for metric in payload.metrics if metric.name == "bdSeq"), None)
            last = self.bd_seq.get(node)
            if last is not None and number not in (last, (last + 1) % 256):
                # Connections that nobody saw a birth of count as well, but never backwards by few.
                if (number - last) % 256 > 128:
                    self.violation(topic, f"bdSeq is {number} after {last}")
            if number == last:
                self.rebirths += 1
            self.bd_seq[node] = number
            self.newest = {key: value for key, value in self.newest.items() if key[0] != node}
        elif kind == "NDEATH":
            self.deaths += 1
        elif kind == "DBIRTH" and device in self.expected:
            names = sorted(metric.name for metric in payload.metrics)
            if names != sorted(self.expected[device]):
                self.violation(topic, f"the birth has {names}, expected {sorted(self.expected[device])}")
        if kind != "DDATA":
            return
        aliases = self.nodes[node].aliases
        epoch, stream, sequence = (int(part) for part in payload.uuid.split("-"))
        seen = self.keys.setdefault((node, f"{epoch}-{stream}"), [set(), -1, True])
        if sequence in seen[0]:
            self.duplicates += 1
        else:
            is_live = not any(metric.is_historical for metric in payload.metrics)
            # Live data may overtake what has piled up; what has piled up comes in its own order.
            lane = 1 if is_live else 3
            while len(seen) <= lane:
                seen.append(-1)
            if sequence <= seen[lane]:
                seen[2] = False
                self.violation(topic, f"batch {payload.uuid} comes after batch {seen[lane]} of its stream")
            seen[lane] = sequence
            seen[0].add(sequence)
        for metric in payload.metrics:
            name = metric.name or aliases.get(metric.alias, (None, None))[1]
            key = (node, device, name)
            if metric.is_historical:
                self.historical += 1
                if metric.timestamp > payload.timestamp:
                    self.violation(topic, f"historical {name} is of {metric.timestamp}, later than the message, {payload.timestamp}")
            else:
                if metric.timestamp < self.newest.get(key, 0):
                    self.violation(topic, f"{name} is of {metric.timestamp}, older than the one before and not historical")
                self.newest[key] = metric.timestamp
                field = metric.WhichOneof("value")
                self.values[key] = getattr(metric, field) if field else None
            if name == "count" and metric.long_value != sequence:
                self.violation(topic, f"count is {metric.long_value} in batch {payload.uuid}")

    def report(self):
        streams = {f"{group}/{node}/{stream}": {"count": len(seen[0]), "first": min(seen[0]), "last": max(seen[0]), "ordered": seen[2]}
                   for ((group, node), stream), seen in self.keys.items()}
        values = {f"{device}.{name}": value for (_, device, name), value in self.values.items()}
        return self.counts | {"duplicates": self.duplicates, "historical": self.historical, "rebirths": self.rebirths, "deaths": self.deaths,
                              "streams": streams, "values": values, "online": [f"{g}/{n}" for (g, n), node in self.nodes.items() if node.alive]}


class Relay:
    """Passes bytes between edge nodes and the broker, and stops doing so on command."""

    def __init__(self, port):
        self.port = port
        self.lock = threading.Lock()
        self.pairs = []
        self.blocked = False
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.server.accept()
            if self.blocked:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((near, far))
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(source, sink, near, far), daemon=True).start()

    def carry(self, source, sink, near, far):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        with self.lock:
            known = (near, far) in self.pairs
            if known:
                self.pairs.remove((near, far))
        if known:
            self.close(near, far)

    @staticmethod
    def close(*ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def cut(self, half=False):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for near, far in pairs:
            self.close(near) if half else self.close(near, far)
            if half:
                self.dead = getattr(self, "dead", []) + [far]  # kept, so that the broker sees nothing


def command(alias, name, kind, text, age):
    """A DCMD's payload."""
    now = time.time_ns() // 1_000_000 - age
    payload = Payload(timestamp=now)
    metric = payload.metrics.add(timestamp=now, datatype=DataType.Value(kind))
    if alias is None:
        metric.name = name
    else:
        metric.alias = alias
    convert = {"int_value": int, "long_value": int, "float_value": float, "double_value": float, "string_value": str, "boolean_value": lambda word: word == "true"}
    value = convert[FIELD[kind]](text)
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        value += 1 << (64 if FIELD[kind] == "long_value" else 32)
    setattr(metric, FIELD[kind], value)
    return payload.SerializeToString()


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--host-id")
    options.add_argument("--expect")
    choice = options.parse_args()
    expected = {}
    if choice.expect:
        with open(choice.expect, encoding="utf-8") as file:
            expected = json.load(file)
    host, relay, arrived = Host(expected), Relay(choice.port), queue.SimpleQueue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"sparkplug-host-{time.monotonic_ns()}")
    client.max_inflight_messages_set(0)
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda c, _, __, reason, ___: None if reason.is_failure else c.subscribe("spBv1.0/#", 1)
    client.on_subscribe = lambda *_: arrived.put("subscribed")
    client.on_disconnect = lambda *_: arrived.put("disconnected")
    client.on_message = lambda _, __, message: arrived.put(message)

    def commands():
        for line in sys.stdin:
            arrived.put(["command", *line.split()])
        arrived.put("stop")

    threading.Thread(target=commands, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: arrived.put("stop"))
    client.connect("127.0.0.1", choice.port, keepalive=30)
    client.loop_start()
    is_first = True
    while (item := arrived.get()) != "stop":
        if item == "subscribed":
            host.say({"relay": relay.server.getsockname()[1], "ready": True} if is_first else {"subscribed": True})
            is_first = False
        elif item == "disconnected":
            # What a host knew before it lost its broker is stale: everything is born anew.
            host.nodes.clear()
        elif not isinstance(item, list):
            host.message(item.topic, item.payload, item.qos, item.retain)
        else:
            match item[1:]:
                case ["cut"]: relay.cut()
                case ["halfopen"]: relay.cut(half=True)
                case ["block"]:
                    relay.blocked = True
                    relay.cut()
                    host.say({"blocked": True})
                case ["unblock"]: relay.blocked = False
                case ["rebirth", group, node]:
                    payload = Payload(timestamp=time.time_ns() // 1_000_000)
                    payload.metrics.add(name=REBIRTH, timestamp=payload.timestamp, datatype=DataType.Value("Boolean"), boolean_value=True)
                    client.publish(f"spBv1.0/{group}/NCMD/{node}", payload.SerializeToString(), 0)
                case ["write" | "alias" as way, group, node, device, name, kind, text, *age]:
                    alias = None
                    if way == "alias":
                        known = host.nodes[(group, node)].aliases
                        alias = next(alias for alias, owner in known.items() if owner == (device, name))
                    body = command(alias, name, kind, text, int(age[0]) if age else 0)
                    client.publish(f"spBv1.0/{group}/DCMD/{node}/{device}", body, 1)
                    host.say({"sent": body.hex()})
                case ["raw", topic, text]: client.publish(topic, bytes.fromhex(text), 1)
                case ["state", word, moment]:
                    body = json.dumps({"online": word == "online", "timestamp": int(moment)})
                    client.publish(f"spBv1.0/STATE/{choice.host_id}", body, 1, retain=True)
                case ["report"]: host.say({"report": host.report()})
                case other: host.say({"error": f"no such command: {other}"})
    client.on_disconnect = None
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
