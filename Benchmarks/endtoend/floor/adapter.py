"""The C yardstick under the end-to-end benchmark; see ../adapter.py for what w is."""
import os
import subprocess
import time

BINARY = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", ".build-bench", "floor"))


def start(w):
    arguments = [str(n) for n in (w.devices, w.registers, w.period_ms, w.port0, w.mqtt_port)] + list(w.tls or ())
    w.topic = "bench/+"
    with open(os.path.join(w.dir, "floor.log"), "w") as log:
        w.started = time.monotonic()
        return subprocess.Popen([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
