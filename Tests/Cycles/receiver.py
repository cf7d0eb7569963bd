#!/usr/bin/env python3
"""A receiving end that shares nothing with ours: paho-mqtt takes the JSON documents, each batch goes to VictoriaMetrics, then it is acknowledged.

    receiver.py --identity FOLDER --database URL --topic FILTER --brokers PORT…

A persistent MQTT 5 session per broker. What comes is read at once and written by another thread: a broker that is killed forgets what it has
acknowledged and handed over, so that what it handed over must not be left in the socket. Batches that were there before, by (epoch, stream, sequence), are
acknowledged and left out. Prints READY when every broker has been subscribed once. Ends on SIGTERM.
"""
import argparse
import json
import queue
import sys
import threading
import time
import urllib.request

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from parts import client_context


class Receiver:
    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.known = set()
        self.ready = set()

    def connect(self, port):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="receiver", protocol=mqtt.MQTTv5, manual_ack=True)
        client.tls_set_context(client_context(self.options.identity))
        client.reconnect_delay_set(0.1, 0.5)
        client.on_connect = lambda *_: client.subscribe(self.options.topic, qos=1)
        client.on_subscribe = lambda *_: self.subscribed(port)
        messages = queue.SimpleQueue()
        client.on_message = lambda _, __, message: messages.put(message)
        threading.Thread(target=self.work, args=(client, messages), daemon=True).start()
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        properties.ReceiveMaximum = 65535
        while True:
            try:
                client.connect("localhost", port, keepalive=10, clean_start=False, properties=properties)
                break
            except OSError:
                time.sleep(0.1)
        client.loop_forever(retry_first_connection=True)

    def subscribed(self, port):
        self.ready.add(port)
        if len(self.ready) == len(self.options.brokers):
            print("READY", flush=True)

    def work(self, client, messages):
        while True:
            self.receive(client, messages.get())

    def receive(self, client, message):
        batch = json.loads(message.payload)
        key = (batch["epoch"], batch["stream"], batch["sequence"])
        with self.lock:
            is_known = key in self.known
        if not is_known:
            self.write(batch)
            with self.lock:
                self.known.add(key)
        client.ack(message.mid, message.qos)

    def write(self, batch):
        lines = [
            json.dumps({"metric": {"__name__": tag, "device": batch["device"]}, "values": [value], "timestamps": [batch["timestamp"]]})
            for tag, value in batch["values"].items() if isinstance(value, (int, float))]
        request = urllib.request.Request(f"{self.options.database}/api/v1/import", "\n".join(lines).encode())
        while lines:
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    if answer.status < 300:
                        return
            except OSError:
                time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identity", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--brokers", type=int, nargs="+", required=True)
    receiver = Receiver(parser.parse_args())
    threads = [threading.Thread(target=receiver.connect, args=(port,), daemon=True) for port in receiver.options.brokers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(1)


if __name__ == "__main__":
    main()
