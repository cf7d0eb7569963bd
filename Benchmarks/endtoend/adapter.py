"""IndusEdge under the end-to-end benchmark: start(w) starts the gateway on workload w and returns its Popen.

w gives devices, registers, period_ms, port0 (device i is at port0 + i), mqtt_port, tls (paths of CA, certificate and key,
or None), dir (an empty folder) and tags() → [(name, first register, bits)]. start sets topic, where the values arrive,
and started, the monotonic time at which the process was created.
"""
import os
import subprocess
import time

PACKAGE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BINARY = os.path.join(PACKAGE, ".build-release", "release", "indusedge")


def definition(w):
    lines = [
        "apiVersion: edge.indusedge.io/v1",
        "kind: ProtocolDefinition",
        "metadata: {name: bench-device, version: 1.0.0}",
        "spec:",
        "  protocol: modbus",
        "  byteOrder: bigEndian",
        f"  scanGroups: {{all: {w.period_ms}ms}}",
        "  tags:",
    ]
    lines += [f'    - {{name: {name}, address: "holding:{register}", type: uint{bits}, scanGroup: all}}' for name, register, bits in w.tags()]
    return "\n".join(lines) + "\n"


def site(w):
    lines = [
        "apiVersion: edge.indusedge.io/v1",
        "kind: Site",
        "metadata: {name: bench}",
        "spec:",
        "  definitions: [bench-device.yaml]",
        "  log: {path: log, diskLimit: 2GiB, commitInterval: 100ms}",
        "  devices:",
    ]
    for i in range(w.devices):
        connection = f"{{modbusTCP: {{host: 127.0.0.1, port: {w.port0 + i}, unit: 1}}}}"
        lines.append(f"    - {{name: device-{i}, definition: bench-device, connection: {connection}}}")
    lines += ["  routes:", "    - name: central", "      payload: json", '      topic: "bench/{device}"']
    if w.tls:
        ca, certificate, key = w.tls
        lines += [f'      clusters: [{{name: local, url: "mqtts://localhost:{w.mqtt_port}"}}]',
                  f'      tls: {{ca: "{ca}", certificate: "{certificate}", key: "{key}"}}']
    else:
        lines += [f'      clusters: [{{name: local, url: "mqtt://localhost:{w.mqtt_port}"}}]', "      plaintext: allowed"]
    return "\n".join(lines) + "\n"


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def start(w):
    if not os.path.exists(BINARY):
        subprocess.run(["make", "build"], cwd=PACKAGE, check=True)
    write(os.path.join(w.dir, "bench-device.yaml"), definition(w))
    write(os.path.join(w.dir, "site.yaml"), site(w))
    w.topic = "bench/+"
    with open(os.path.join(w.dir, "gateway.log"), "w") as log:
        w.started = time.monotonic()
        return subprocess.Popen([BINARY, "run", "site.yaml"], cwd=w.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
