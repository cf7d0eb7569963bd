#!/usr/bin/env python3
"""Measures how fast the Modbus adapter reads, beside bare libmodbus in C: one connection and one thread each, flat out.

    bench.py [--connections N] [--registers N] [--seconds S] [--rounds N]

Both are alternated against the same simulated device on 127.0.0.1; figures are medians over the rounds. The last lines of the output are
one JSON object per figure, also appended to .build-bench/figures.jsonl.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.abspath(os.path.join(HERE, "..", ".."))
BUILD = os.path.join(PACKAGE, ".build-bench")
SYSTEMS = {
    "c": os.path.join(BUILD, "requests"),
    "indusedge": os.path.join(PACKAGE, ".build-release", "release", "modbus-bench"),
}


def free_port():
    """A TCP port that is free now, below the range of outgoing connections."""
    for port in range(20000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("bench: no free port found")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--connections", type=int, default=64)
    options.add_argument("--registers", type=int, default=125)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--rounds", type=int, default=5)
    choice = options.parse_args()
    port = free_port()
    device = subprocess.Popen([os.path.join(BUILD, "devices"), "1", str(port), "1000"], stdout=subprocess.PIPE, text=True)
    rows = {name: [] for name in SYSTEMS}
    try:
        device.stdout.readline()
        for turn in range(choice.rounds):
            for name, program in SYSTEMS.items():
                words = [program, port, choice.connections, choice.registers, choice.seconds]
                row = json.loads(subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True).stdout)
                if row["errors"]:
                    sys.exit(f"bench: {name} had {row['errors']} errors")
                row = dict(rate=row["requests"] / row["seconds"], cpu=row["cpu_seconds"] * 1e6 / row["requests"])
                rows[name].append(row)
                print(f"round {turn + 1}/{choice.rounds} {name}: {row['rate']:,.0f} requests/s, {row['cpu']:.2f} µs CPU each",
                      file=sys.stderr, flush=True)
    finally:
        device.terminate()
        device.wait()
    median = {name: {key: statistics.median(row[key] for row in rows[name]) for key in ("rate", "cpu")} for name in SYSTEMS}
    print("| system | requests/s | CPU µs/request |\n|---|---|---|")
    for name, row in median.items():
        print(f"| {name} | {row['rate']:,.0f} | {row['cpu']:.2f} |")
    rate = median["indusedge"]["rate"] / median["c"]["rate"]
    cpu = median["indusedge"]["cpu"] / median["c"]["cpu"]
    figures = [
        dict(figure="modbus.requests_ratio_to_c", value=round(rate, 3), unit="×", goal=0.9, met=rate >= 0.9),
        dict(figure="modbus.request_cpu_ratio_to_c", value=round(cpu, 3), unit="×", goal=1.2, met=cpu <= 1.2),
    ]
    with open(os.path.join(BUILD, "figures.jsonl"), "a") as file:
        for figure in figures:
            line = json.dumps(figure, ensure_ascii=False)
            print(line)
            file.write(line + "\n")


if __name__ == "__main__":
    main()
