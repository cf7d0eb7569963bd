#!/usr/bin/env python3
"""An independent Sparkplug B 3.0 host: Eclipse Tahu's protobuf (tahutils) and paho-mqtt. It decodes and checks what edge nodes publish.

    sparkplug_decoder.py --host localhost --port N [--ca F --cert F --key F] [--seconds S] [--count N] [--late]

It prints one JSON object per line:

    {"ready": true, "tls": "TLSv1.3"}       subscribed; start the edge node now. tls is null on a plain connection
    {"type": "DDATA", "group": …, "node": …, "device": …, "seq": …, "timestamp": …, "qos": …, "metrics": [
        {"name": …, "alias": …, "datatype": …, "value": …, "timestamp": …, "quality": …}]}
    {"violation": "seq is 7, expected 6", "topic": …}
    {"summary": {"messages": …, "births": …, "data": …, "samples": …, "violations": …}}     the last line

Names are resolved from the births, integers have their sign, a null value is null, absent parts are left out. It ends after
--seconds, after --count data messages, or on SIGTERM; with exit code 1 when there was a violation or the connection failed.
Data of a node whose birth was not seen is a violation; with --late, for a subscriber that comes after the births, it asks
such a node for a rebirth instead.
"""
import argparse
import json
import math
import queue
import signal
import ssl
import sys
import time

import paho.mqtt.client as mqtt
from tahutils.tahu.sparkplug_b_pb2 import DataType, Payload

SIGNED_BITS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}
UNSIGNED_BITS = {"UInt8": 8, "UInt16": 16, "UInt32": 32, "UInt64": 64, "DateTime": 64}
FIELD = {
    **dict.fromkeys(("Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32"), "int_value"),
    **dict.fromkeys(("Int64", "UInt64", "DateTime"), "long_value"),
    "Float": "float_value", "Double": "double_value", "Boolean": "boolean_value",
    **dict.fromkeys(("String", "Text", "UUID"), "string_value"),
    **dict.fromkeys(("Bytes", "File"), "bytes_value"),
}
BIRTHS, DATA = ("NBIRTH", "DBIRTH"), ("NDATA", "DDATA")
REBIRTH = "Node Control/Rebirth"


class Node:
    """What a host knows of one edge node since its last birth."""

    def __init__(self):
        self.alive = False
        self.seq = None
        self.bd_seq = None
        self.aliases = {}  # alias → (device, name)
        self.types = {}  # (device, name) → name of the data type
        self.devices = set()
        self.rebirth_asked = False


class Checker:
    """Takes messages, keeps the state of every node, and says what is wrong. No I/O but the lines it prints."""

    def __init__(self, late, ask_for_rebirth):
        self.late, self.ask_for_rebirth = late, ask_for_rebirth
        self.nodes = {}
        self.counts = {"messages": 0, "births": 0, "data": 0, "samples": 0, "violations": 0}

    def say(self, line):
        print(json.dumps(line, ensure_ascii=False), flush=True)

    def violation(self, topic, text):
        self.counts["violations"] += 1
        self.say({"violation": text, "topic": topic})

    def message(self, topic, body, qos, retained):
        parts = topic.split("/")
        if parts[1] == "STATE" or len(parts) > 2 and parts[2] in ("NCMD", "DCMD"):
            return
        if len(parts) not in (4, 5):
            return self.violation(topic, f"the topic has {len(parts)} levels, expected 4 or 5")
        group, kind, name = parts[1:4]
        device = parts[4] if len(parts) == 5 else None
        if kind not in BIRTHS + DATA + ("NDEATH", "DDEATH") or kind.startswith("D") != (device is not None):
            return self.violation(topic, f"message type {kind} does not fit a topic of {len(parts)} levels")
        try:
            payload = Payload.FromString(body)
        except Exception as error:
            return self.violation(topic, f"no Sparkplug payload: {error}")
        self.counts["messages"] += 1
        node = self.nodes.setdefault((group, name), Node())
        if retained:
            self.violation(topic, "the message is retained")
        if kind in DATA and self.late and not (node.alive and (device is None or device in node.devices)):
            if not node.rebirth_asked:
                node.rebirth_asked = True
                self.ask_for_rebirth(group, name)
            return
        self.check_order(topic, kind, node, device, payload)
        if kind in BIRTHS:
            self.counts["births"] += 1
            self.learn(topic, node, device, payload)
        metrics = [self.metric(topic, kind, node, device, metric) for metric in payload.metrics]
        if kind in DATA:
            self.counts["data"] += 1
            self.counts["samples"] += len(metrics)
        line = {"type": kind, "group": group, "node": name}
        if device is not None:
            line["device"] = device
        if payload.HasField("seq"):
            line["seq"] = payload.seq
        if payload.HasField("timestamp"):
            line["timestamp"] = payload.timestamp
        self.say(line | {"qos": qos, "metrics": metrics})

    def check_order(self, topic, kind, node, device, payload):
        """Births before data, one number after the other, the death of this session (Sparkplug 3.0, 6.4)."""
        bd_seq = next((m.long_value if m.HasField("long_value") else m.int_value for m in payload.metrics if m.name == "bdSeq"), None)
        if kind == "NDEATH":
            if payload.HasField("seq"):
                self.violation(topic, "an NDEATH has no seq")
            if bd_seq is None:
                self.violation(topic, "the NDEATH has no bdSeq")
            elif node.bd_seq is not None and 0 < (bd_seq - node.bd_seq) % 256 < 128:
                # The will of a later connection that broke before its birth: its number matches no birth, and hosts pass over it.
                return
            elif node.bd_seq is not None and bd_seq != node.bd_seq:
                self.violation(topic, f"bdSeq is {bd_seq}, expected {node.bd_seq} as in the birth")
            node.alive, node.devices = False, set()
            return
        if not payload.HasField("timestamp"):
            self.violation(topic, "the payload has no timestamp")
        if not payload.HasField("seq"):
            self.violation(topic, "the payload has no seq")
        elif kind == "NBIRTH":
            if payload.seq != 0:
                self.violation(topic, f"seq of the NBIRTH is {payload.seq}, expected 0")
        elif node.seq is not None and payload.seq != (node.seq + 1) % 256:
            self.violation(topic, f"seq is {payload.seq}, expected {(node.seq + 1) % 256}")
        node.seq = payload.seq if payload.HasField("seq") else node.seq
        if kind == "NBIRTH":
            if bd_seq is None:
                self.violation(topic, "the NBIRTH has no bdSeq")
            if not any(m.name == REBIRTH and m.HasField("boolean_value") and not m.boolean_value for m in payload.metrics):
                self.violation(topic, f"the NBIRTH has no {REBIRTH} = false")
            seq, known = node.seq, node.bd_seq
            if known is not None and known == bd_seq and not node.alive:
                self.violation(topic, f"bdSeq is {bd_seq} again after a death, expected another")
            node.__init__()
            node.alive, node.seq, node.bd_seq = True, seq, bd_seq
        elif not node.alive:
            self.violation(topic, f"{kind} before the NBIRTH of its node")
        elif kind == "DBIRTH":
            node.devices.add(device)
            for alias in [alias for alias, (owner, _) in node.aliases.items() if owner == device]:
                del node.aliases[alias]
        elif device is not None and device not in node.devices:
            self.violation(topic, f"{kind} before the DBIRTH of its device")
        if kind == "DDEATH":
            node.devices.discard(device)

    def learn(self, topic, node, device, payload):
        """Takes the names, aliases and types from a birth."""
        for metric in payload.metrics:
            if not metric.name or not metric.HasField("datatype"):
                self.violation(topic, f"a metric of a birth has name '{metric.name}' and data type {metric.datatype}, expected both")
                continue
            key = (device, metric.name)
            if key in node.types and topic.split("/")[2] == "NBIRTH":
                self.violation(topic, f"metric {metric.name} appears twice")
            node.types[key] = DataType.Name(metric.datatype) if metric.datatype in DataType.values() else str(metric.datatype)
            if metric.HasField("alias"):
                owner = node.aliases.setdefault(metric.alias, key)
                if owner != key:
                    self.violation(topic, f"alias {metric.alias} is of {owner[1]}, but {metric.name} takes it too")

    def metric(self, topic, kind, node, device, metric):
        """One metric as people read it."""
        name, known = metric.name, True
        if metric.HasField("alias"):
            owner, resolved = node.aliases.get(metric.alias, (device, None))
            if resolved is None and not (kind in ("NDEATH", "DDEATH") and name):
                self.violation(topic, f"alias {metric.alias} is in no birth")
                known = False
            elif owner != device:
                self.violation(topic, f"alias {metric.alias} is of another device ({owner})")
            name = name or resolved
        elif kind in DATA and (device, name) not in node.types:
            self.violation(topic, f"metric '{name}' is in no birth")
            known = False
        data_type = node.types.get((device, name))
        if data_type is None and metric.HasField("datatype") and metric.datatype in DataType.values():
            data_type = DataType.Name(metric.datatype)
        result = {"name": name}
        if metric.HasField("alias"):
            result["alias"] = metric.alias
        result["datatype"] = data_type
        result["value"] = self.value(topic, name, data_type, metric) if known else None
        if metric.HasField("timestamp"):
            result["timestamp"] = metric.timestamp
        if metric.is_historical:
            result["historical"] = True
        for key, value in zip(metric.properties.keys, metric.properties.values):
            field = value.WhichOneof("value")
            result[key[:1].lower() + key[1:]] = getattr(value, field) if field else None
        return result

    def value(self, topic, name, data_type, metric):
        field = metric.WhichOneof("value")
        if metric.is_null:
            if field is not None:
                self.violation(topic, f"metric {name} is null, but has a {field}")
            return None
        if field is None:
            self.violation(topic, f"metric {name} has neither a value nor is_null")
            return None
        if data_type in FIELD and field != FIELD[data_type]:
            self.violation(topic, f"metric {name} is {data_type} and has a {field}, expected a {FIELD[data_type]}")
            return None
        value = getattr(metric, field)
        if data_type in SIGNED_BITS:
            bits = SIGNED_BITS[data_type]
            width = 64 if field == "long_value" else 32
            value -= (value >> width - 1) << width
            if not -(1 << bits - 1) <= value < 1 << bits - 1:
                self.violation(topic, f"metric {name} is {value}, which is no {data_type}")
        elif data_type in UNSIGNED_BITS and value >= 1 << UNSIGNED_BITS[data_type]:
            self.violation(topic, f"metric {name} is {value}, which is no {data_type}")
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        return value.hex() if isinstance(value, bytes) else value if isinstance(value, (int, float, str)) else str(value)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--host", default="localhost")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--ca")
    options.add_argument("--cert")
    options.add_argument("--key")
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--count", type=int, help="end after so many data messages")
    options.add_argument("--late", action="store_true", help="ask nodes whose birth was missed for a rebirth")
    choice = options.parse_args()

    arrived = queue.SimpleQueue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"sparkplug-decoder-{time.monotonic_ns()}")
    if choice.ca:
        client.tls_set(choice.ca, choice.cert, choice.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    client.on_connect = lambda c, _, __, reason, ___: c.subscribe("spBv1.0/#", 1) if not reason.is_failure else arrived.put(f"refused: {reason}")
    client.on_disconnect = lambda _, __, ___, reason, ____: arrived.put(f"disconnected: {reason}")
    client.on_subscribe = lambda *_: arrived.put(None)
    client.on_message = lambda _, __, message: arrived.put(message)

    def ask_for_rebirth(group, node):
        payload = Payload(timestamp=time.time_ns() // 1_000_000)
        payload.metrics.add(name=REBIRTH, timestamp=payload.timestamp, datatype=DataType.Value("Boolean"), boolean_value=True)
        client.publish(f"spBv1.0/{group}/NCMD/{node}", payload.SerializeToString(), 0)

    checker = Checker(choice.late, ask_for_rebirth)
    signal.signal(signal.SIGTERM, lambda *_: arrived.put("stop"))
    failed = False
    try:
        client.connect(choice.host, choice.port, keepalive=30)
        client.loop_start()
        deadline = time.monotonic() + choice.seconds
        while (left := deadline - time.monotonic()) > 0 and (choice.count is None or checker.counts["data"] < choice.count):
            try:
                item = arrived.get(timeout=left)
            except queue.Empty:
                break
            if item is None:
                connection = client.socket()
                checker.say({"ready": True, "tls": connection.version() if choice.ca and connection else None})
            elif item == "stop":
                break
            elif isinstance(item, str):
                checker.say({"error": item})
                failed = True
                break
            else:
                checker.message(item.topic, item.payload, item.qos, item.retain)
    except OSError as error:  # refused, unknown host, TLS trouble
        checker.say({"error": str(error)})
        failed = True
    client.on_disconnect = None
    client.disconnect()
    client.loop_stop()
    checker.say({"summary": checker.counts})
    sys.exit(failed or checker.counts["violations"] > 0)


if __name__ == "__main__":
    main()
