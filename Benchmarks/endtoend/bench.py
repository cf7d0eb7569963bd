#!/usr/bin/env python3
"""Measures the gateway from the registers of simulated devices to an MQTT subscriber, beside a C yardstick.

    bench.py [--rounds N] [--warm S] [--window S] [--workload NAME] [--update]

Everything runs on 127.0.0.1 on free ports and stops at the end: devices (C), mosquitto (TLS 1.3 with client
certificates for the systems, plain for the subscriber), a subscriber (C), and in turn each system. The systems alternate,
round by round, so that both see the same machine; every figure is the median over the rounds, misses are the sum.
The last lines of the output are one JSON object per figure, also appended to .build-bench/figures.jsonl.
--update writes the table into docs/performance.md.
"""
import argparse
import datetime
import importlib.util
import json
import os
import platform
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.abspath(os.path.join(HERE, "..", ".."))
BUILD = os.path.join(PACKAGE, ".build-bench")
PAGE = os.path.join(PACKAGE, "docs", "performance.md")
SYSTEMS = {"floor": os.path.join(HERE, "floor", "adapter.py"), "indusedge": os.path.join(HERE, "adapter.py")}
WORKLOADS = {
    "10x1000@100ms": (10, 1000, 100), "1x1000@1s": (1, 1000, 1000),
    # The stamp takes four registers and is one tag: 33 registers are 30 tags.
    "500x30@1s": (500, 33, 1000), "40x1000@100ms": (40, 1000, 100),
}
# Those that a run without --workload measures.
STANDARD = ("10x1000@100ms", "1x1000@1s")
STAMP_REGISTERS = 4
STOP_SECONDS = 10

# Figure, workload it comes from, key of the measured row, unit, goal (at most).
FIGURES = [
    ("e2e.cpu_us_per_tag", "10x1000@100ms", "cpu_us_per_tag", "µs", 0.8),
    ("e2e.latency_p99_ms", "10x1000@100ms", "p99", "ms", 10),
    ("e2e.latency_p99_ms_1x1000", "1x1000@1s", "p99", "ms", 5),
    ("e2e.missed_polls", "10x1000@100ms", "missed", "polls", 0),
    ("e2e.undelivered_percent", "10x1000@100ms", "undelivered_percent", "%", 0.1),
    ("e2e.rss_mib", "10x1000@100ms", "rss_mib", "MiB", 64),
    ("e2e.first_scan_ms", "10x1000@100ms", "first_scan_ms", "ms", 300),
    ("modbus.core_percent_500x30", "500x30@1s", "core_percent", "%", 15),
    ("modbus.rss_mib_500x30", "500x30@1s", "rss_mib", "MiB", 96),
    ("modbus.missed_polls_500x30", "500x30@1s", "missed", "polls", 0),
    ("modbus.threads_500x30", "500x30@1s", "threads", "threads", None),
    ("modbus.cpu_us_per_tag_40x1000", "40x1000@100ms", "cpu_us_per_tag", "µs", 0.5),
    ("modbus.latency_p99_ms_40x1000", "40x1000@100ms", "p99", "ms", 15),
    ("modbus.missed_polls_40x1000", "40x1000@100ms", "missed", "polls", 0),
    ("modbus.undelivered_percent_40x1000", "40x1000@100ms", "undelivered_percent", "%", 0.1),
    ("modbus.rss_mib_40x1000", "40x1000@100ms", "rss_mib", "MiB", 96),
]

BROKER = """\
user {user}
allow_anonymous true
persistence false
log_dest stderr
log_type error
log_type warning
max_queued_messages 100000
max_inflight_messages 0
set_tcp_nodelay true
listener {plain} 127.0.0.1
listener {tls} 127.0.0.1
cafile {certificates}/ca.crt
certfile {certificates}/server.crt
keyfile {certificates}/server.key
require_certificate true
tls_version tlsv1.3
"""


class Workload:
    """What an adapter needs to know; the adapter may change topic, lat_pattern and key_pattern."""

    topic, lat_pattern, key_pattern = "bench/+", '"us":', '"r'

    def __init__(self, devices, registers, period_ms):
        self.devices, self.registers, self.period_ms = devices, registers, period_ms

    def tags(self):
        return [("us", 0, 64)] + [(f"r{i}", i, 16) for i in range(STAMP_REGISTERS, self.registers)]


def free_ports(count):
    """The first of `count` neighbouring TCP ports that are free now, below the range of outgoing connections."""
    for _ in range(200):
        first, held = random.randrange(20000, 32000 - count), []
        try:
            for port in range(first, first + count):
                held.append(socket.socket())
                held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                held[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
    sys.exit(f"bench: no {count} neighbouring free ports found")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_certificates(folder):
    """A CA, and a server and a client certificate of it, on P-256; valid for a day."""
    os.makedirs(folder)
    path = lambda name: os.path.join(folder, name)
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-days", "1", "-subj", "/CN=bench authority", "-keyout", path("ca.key"), "-out", path("ca.crt"))
    with open(path("names"), "w") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl("req", "-new", *curve, "-subj", f"/CN=bench-{name}", "-keyout", path(name + ".key"), "-out", path(name + ".csr"))
        openssl("x509", "-req", "-in", path(name + ".csr"), "-CA", path("ca.crt"), "-CAkey", path("ca.key"), "-CAcreateserial",
                "-days", "1", "-extfile", path("names"), "-out", path(name + ".crt"))


def load(path):
    spec = importlib.util.spec_from_file_location("adapter", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def family(root):
    """The process and everything it started."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                pass  # it ended meanwhile
    members = [root]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def cpu_seconds(root):
    """CPU time of the family from the scheduler's nanosecond counters, one per thread."""
    total = 0
    for process in family(root):
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def resident_mib(root):
    total = 0
    for process in family(root):
        with open(f"/proc/{process}/status") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    return total / 1024


def threads(root):
    return sum(len(os.listdir(f"/proc/{process}/task")) for process in family(root))


class Bench:
    """The processes of one measurement, ended in the reverse order of their start."""

    def __init__(self):
        self.processes = []

    def spawn(self, *command, **options):
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, **options)
        self.processes.append(process)
        return process

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ask(tool):
    """One report of a C tool, which starts its counts again."""
    tool.send_signal(signal.SIGUSR1)
    line = tool.stdout.readline()
    if not line:
        sys.exit(f"bench: {tool.args[0]} ended")
    return json.loads(line)


def wait_for_port(port, process):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    sys.exit(f"bench: nothing answers on port {port}")


def measure(adapter, shape, certificates, work, warm, window):
    """One start of one system on one workload: a row of figures."""
    w = Workload(*shape)
    w.dir = tempfile.mkdtemp(dir=work)
    first = free_ports(w.devices + 2)
    w.port0, plain, w.mqtt_port = first, first + w.devices, first + w.devices + 1
    w.tls = tuple(os.path.join(certificates, name) for name in ("ca.crt", "client.crt", "client.key"))
    configuration = os.path.join(w.dir, "mosquitto.conf")
    with open(configuration, "w") as file:
        file.write(BROKER.format(user="root" if os.geteuid() == 0 else "nobody", plain=plain, tls=w.mqtt_port, certificates=certificates))
    with Bench() as bench:
        with open(os.path.join(w.dir, "broker.log"), "w") as log:
            broker = bench.spawn("mosquitto", "-c", configuration, stderr=log)
        devices = bench.spawn(os.path.join(BUILD, "devices"), w.devices, w.port0, w.period_ms, stdout=subprocess.PIPE, text=True)
        devices.stdout.readline()
        wait_for_port(plain, broker)
        w.started = time.monotonic()
        system = adapter.start(w)
        bench.processes.append(system)
        subscriber = bench.spawn(os.path.join(BUILD, "latency"), plain, w.topic, w.lat_pattern, w.key_pattern, stdout=subprocess.PIPE, text=True)
        time.sleep(warm)
        if system.poll() is not None:
            sys.exit(f"bench: the system under test ended with status {system.returncode}:\n{tail_of_logs(w.dir)}")
        first_request = ask(devices)["first_request"]
        ask(subscriber)
        cpu_before, since = cpu_seconds(system.pid), time.monotonic()
        time.sleep(window)
        cpu, seconds = cpu_seconds(system.pid) - cpu_before, time.monotonic() - since
        polled, arrived = ask(devices), ask(subscriber)
        if system.poll() is not None:
            sys.exit(f"bench: the system under test ended with status {system.returncode}:\n{tail_of_logs(w.dir)}")
        expected = w.devices * len(w.tags()) * seconds * 1000 / w.period_ms
        fresh = arrived["values"] * (1 - arrived["stale"] / max(1, arrived["stamps"]))
        row = dict(
            tags_per_second=fresh / seconds, expected_per_second=expected / seconds,
            # Polls in flight at the edges of the window are not a loss: one per device is allowed for.
            undelivered_percent=max(0.0, 100 * (1 - (fresh + w.devices * len(w.tags())) / expected)), stale=arrived["stale"],
            missed=polled["missed"], cpu_us_per_tag=cpu * 1e6 / max(1.0, fresh), rss_mib=resident_mib(system.pid),
            core_percent=100 * cpu / seconds, threads=threads(system.pid),
            p50=arrived["p50"], p99=arrived["p99"], max=arrived["max"],
            first_scan_ms=(first_request - w.started) * 1000 if first_request else float("inf"))
    shutil.rmtree(w.dir)
    return row


def tail_of_logs(folder):
    text = ""
    for name in sorted(os.listdir(folder)):
        if name.endswith(".log"):
            with open(os.path.join(folder, name), errors="replace") as file:
                text += "".join(file.readlines()[-20:])
    return text


def median(rows):
    result = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
    for key in ("missed", "stale"):
        result[key] = sum(row[key] for row in rows)
    return result


def table(results):
    lines = ["| system | workload | fresh tags/s (expected) | missed polls | CPU µs/tag (% of a core) | RSS MiB | latency p50 / p99 / max ms | first scan ms |",
             "|---|---|---|---|---|---|---|---|"]
    for (workload, system), r in results.items():
        lines.append(
            f"| {system} | {workload} | {r['tags_per_second']:,.0f} ({r['expected_per_second']:,.0f}) | {r['missed']} | {r['cpu_us_per_tag']:.2f} ({r['core_percent']:.1f}) | "
            f"{r['rss_mib']:.1f} | {r['p50']:.1f} / {r['p99']:.1f} / {r['max']:.1f} | {r['first_scan_ms']:.0f} |")
    return lines


def figures(results):
    rows = []
    for figure, workload, key, unit, goal in FIGURES:
        if (workload, "indusedge") in results:
            value = results[workload, "indusedge"][key]
            rows.append(dict(figure=figure, value=round(value, 3), unit=unit, goal=goal, met=None if goal is None else value <= goal))
    for workload in WORKLOADS:
        if (workload, "indusedge") in results and (workload, "floor") in results and workload == "10x1000@100ms":
            ratio = results[workload, "indusedge"]["cpu_us_per_tag"] / results[workload, "floor"]["cpu_us_per_tag"]
            rows.append(dict(figure="e2e.cpu_times_floor", value=round(ratio, 2), unit="×", goal=None, met=None))
    return rows


def update_page(lines, choice):
    begin, end = "<!-- endtoend: begin -->", "<!-- endtoend: end -->"
    with open(PAGE) as file:
        text = file.read()
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        sys.exit(f"bench: {PAGE} has no {begin} … {end}")
    cpus = os.cpu_count()
    note = (f"`make bench BENCH=\"--rounds {choice.rounds} --window {choice.window:g} --update\"`, {datetime.date.today()}, "
            f"{cpus} cores, {platform.machine()}, {platform.system()}:")
    with open(PAGE, "w") as file:
        file.write(before + begin + "\n" + note + "\n\n" + "\n".join(lines) + "\n" + end + after)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=3, help="starts of each system on each workload")
    options.add_argument("--warm", type=float, default=4, help="seconds before the measured window")
    options.add_argument("--window", type=float, default=10, help="measured seconds")
    options.add_argument("--system", choices=SYSTEMS, action="append", help="only this one")
    options.add_argument("--workload", choices=WORKLOADS, action="append", help="only this one")
    options.add_argument("--update", action="store_true", help="write the table into docs/performance.md")
    choice = options.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)  # against other users of the machine; inherited by everything started here
    except PermissionError:
        pass
    adapters = {name: load(path) for name, path in SYSTEMS.items() if not choice.system or name in choice.system}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    results = {}
    os.makedirs(BUILD, exist_ok=True)
    work = tempfile.mkdtemp(prefix="run.", dir=BUILD)
    try:
        certificates = os.path.join(work, "certificates")
        make_certificates(certificates)
        for workload, shape in WORKLOADS.items():
            if workload not in (choice.workload or STANDARD):
                continue
            rows = {name: [] for name in adapters}
            for turn in range(choice.rounds):
                for name, adapter in adapters.items():
                    row = measure(adapter, shape, certificates, work, choice.warm, choice.window)
                    rows[name].append(row)
                    print(f"{workload} round {turn + 1}/{choice.rounds} {name}: {row['cpu_us_per_tag']:.2f} µs/tag, "
                          f"p99 {row['p99']:.1f} ms, {row['missed']} missed", file=sys.stderr, flush=True)
            results.update({(workload, name): median(rows[name]) for name in adapters})
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        shutil.rmtree(work, ignore_errors=True)

    lines = table(results)
    print("\n".join(lines) + "\n")
    if choice.update:
        update_page(lines, choice)
    with open(os.path.join(BUILD, "figures.jsonl"), "a") as file:
        for figure in figures(results):
            line = json.dumps(figure, ensure_ascii=False)
            print(line)
            file.write(line + "\n")


if __name__ == "__main__":
    main()
