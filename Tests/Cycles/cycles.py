#!/usr/bin/env python3
"""Breaks everything between devices and database, one thing after the other, and proves that each sample arrived once.

    cycles.py --indusedge PROGRAM [--control PROGRAM] [--payload FORM] [--failover WAY] [--cycles N] [--seed N] [--cycle N] [--kinds A,B] [--summary FILE] [--keep]

Devices with a record of what they served → gateway → fault proxies → mosquitto with TLS 1.3 and client certificates → receiving end →
VictoriaMetrics; all real programs, on free loopback ports, in a folder of their own. Each cycle breaks one thing, heals it, and waits until what was served
until then is in the database. At the end the devices stop, everything drains, and the database is compared with their record, and the
store and its ledger with both. Exit status 0 only when nothing is lost, duplicated, reordered, invented or changed.

Everything but the exact moments follows from seed and number of the cycle: `--cycle 17` with the seed of a failed run plays its cycle 17 alone.
"""
import argparse
import collections
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import checker
from parts import HERE, Broker, Database, Disk, Plant, Process, Proxy, Trouble, has_connection, wait_for

# Each kind with how long it lasts, in seconds, and whether the next cycle may begin before all has arrived. What the receiving side has to make up
# for must be over before a broker dies: a broker that is killed loses what it had acknowledged and not passed on, and nothing
# behind it can know. So its subscriber is connected, and its queue empty, when that happens. The gateway's own troubles may follow
# one another at any time.
KINDS = {
    "gatewayKill": (0.0, 1.0, True),
    "cableCut": (0.5, 3.0, True),
    "longCableCut": (8.0, 12.0, True),
    "halfOpen": (0.2, 2.0, True),
    "slowLink": (1.5, 4.0, True),
    "lateLink": (1.0, 3.0, True),
    "connectionReset": (0.1, 1.0, True),
    "silentLink": (0.5, 2.0, True),
    "brokerKill": (0.2, 2.0, False),
    "brokerForgets": (0.2, 2.0, False),
    "failover": (2.0, 5.0, False),
    "fullDisk": (0.5, 3.0, False),
    "receiverKill": (0.0, 1.5, False),
    "databaseStop": (0.2, 2.0, False),
}
RATE = 8_000  # bytes per second: 64 kbit/s
RECOVERY_SECONDS = 90
COMMIT_INTERVAL_MS = 100


class Plan:
    """What one cycle does; decided by seed and number alone."""

    def __init__(self, seed, number, kinds, clusters):
        # Kinds come in decks, so that each comes equally often.
        deck, place = divmod(number - 1, len(kinds))
        order = list(kinds)
        random.Random(f"{seed}/deck/{deck}").shuffle(order)
        dice = random.Random(f"{seed}/cycle/{number}")
        self.number, self.kind = number, order[place]
        shortest, longest, may_overlap = KINDS[self.kind]
        self.before = dice.uniform(0.1, 0.8)
        self.seconds = dice.uniform(shortest, longest)
        self.overlaps = may_overlap and dice.random() < 0.25
        count = 1 if self.kind == "failover" else dice.choice((1, len(clusters)))
        self.clusters = sorted(dice.sample(range(len(clusters)), count))
        self.latency = (dice.randrange(50, 400), dice.randrange(0, 200))


class Run:
    def __init__(self, options, folder):
        self.options, self.folder = options, Path(folder)
        self.identity = self.folder / "identity"
        subprocess.run([options.indusedge, "identity", "create-dev", str(self.identity)], check=True, capture_output=True)
        self.disk = Disk(self.folder)
        self.brokers = [Broker(name, folder, self.identity) for name in ("east", "west", "north")[: options.clusters]]
        self.proxies = [Proxy(f"link-{broker.name}", folder, broker, options.seed) for broker in self.brokers]
        self.plant = Plant(folder, options.devices, options.checks)
        self.database = Database(folder)
        self.gateway = Process("gateway", [options.indusedge, "run", str(self.folder / "site.yaml")], folder)
        self.receiver = self.make_receiver()
        self.kills = []
        self.verified = dict.fromkeys(self.plant.names, 0)
        self.verified_at = time.time_ns()
        self.lines = []
        self.recoveries = []
        self.peak_mib = 0.0

    @property
    def parts(self):
        return [self.gateway, self.receiver, *self.proxies, *self.brokers, self.database, self.plant]

    # The configuration

    def make_receiver(self):
        """Our receiving end where its program is given; else the independent one, which only knows JSON."""
        if self.options.control is None:
            ports = [str(broker.port) for broker in self.brokers]
            return Process(
                "receiver", [sys.executable, str(HERE / "receiver.py"), "--identity", str(self.identity), "--database", self.database.url,
                             "--topic", "indusedge/cycles/#", "--brokers", *ports], self.folder)
        brokers = [word for broker in self.brokers for word in ("--broker", f"mqtts://localhost:{broker.port}")]
        return Process(
            "receiver", [self.options.control, "ingest", *brokers, "--ca", f"{self.identity}/ca.crt",
                         "--certificate", f"{self.identity}/subscriber.crt", "--key", f"{self.identity}/subscriber.key",
                         "--database", "victoriametrics", "--url", self.database.url, "--set-aside", str(self.folder / "aside"),
                         "--summary", str(self.folder / "ingest.json")], self.folder)

    def is_subscribed(self):
        text = self.receiver.log.read_text(errors="replace")
        return "READY" in text if self.options.control is None else text.count("connected to a broker") >= len(self.brokers)

    def write_site(self):
        tags = ["    - {name: counter, address: 'holding:0', type: uint32}"]
        tags += [f"    - {{name: check{index}, address: 'holding:{2 + index}', type: uint16}}" for index in range(self.options.checks)]
        devices = [
            f"    - {{name: {name}, definition: cycle-machine, connection: {{modbusTCP: {{host: 127.0.0.1, port: {port}}}}}}}"
            for name, port in zip(self.plant.names, self.plant.ports)]
        clusters = [
            f"        - {{name: {broker.name}, url: 'mqtts://localhost:{proxy.port}'}}" for broker, proxy in zip(self.brokers, self.proxies)]
        (self.folder / "site.yaml").write_text("\n".join((
            "apiVersion: edge.indusedge.io/v1", "kind: ProtocolDefinition", "metadata: {name: cycle-machine, version: 1.0.0}", "spec:",
            "  protocol: modbus", f"  scanGroups: {{fast: {self.options.period}ms}}", "  tags:", *tags, "---",
            "apiVersion: edge.indusedge.io/v1", "kind: Site", "metadata: {name: cycles}", "spec:",
            f"  log: {{path: '{self.disk.path}/data', diskLimit: {Disk.SIZE_MIB - 32}MiB, commitInterval: {COMMIT_INTERVAL_MS}ms}}",
            "  scoring: {enabled: false}", "  clock: {trust: system}", "  devices:", *devices, "  routes:", "    - name: central",
            f"      payload: {self.options.payload}", f"      failover: {self.options.failover}", "      keepAlive: 5s",
            # A broker that forgot who subscribes would acknowledge what nobody gets. Each topic of the route needs a subscriber for it.
            "      mqtt: {unheard: hold}",
            "      clusters:", *clusters,
            f"      tls: {{ca: '{self.identity}/ca.crt', certificate: '{self.identity}/gateway.crt', key: '{self.identity}/gateway.key'}}",
        )) + "\n")

    # What is known of the database

    def rows(self, start_ms, raw=False):
        """{device: {tag: [(time, value)…]}}"""
        rows = {name: {} for name in self.plant.names}
        selector = '{__name__=~"counter|check[0-9]+"}' if self.options.control is None else '{__name__="indusedge_value",tag=~"counter|check[0-9]+"}'
        for labels, samples in self.database.export(selector, start_ms, raw):
            # Restarts of the receiving end must not make other series of the same tag.
            rows[labels["device"]].setdefault(labels.get("tag", labels["__name__"]), []).extend(samples)
        for tags in rows.values():
            for samples in tags.values():
                samples.sort()
        return rows

    def judge(self, since, start_ms=0, raw=False):
        self.plant.read()
        rows = self.rows(start_ms, raw)
        kills = checker.last_signs(self.kills, self.plant.served)
        grace = (COMMIT_INTERVAL_MS + self.options.commit_ms) * 1_000_000
        return {
            name: checker.judge(self.plant.served[name], rows[name], kills, grace, self.options.checks, since.get(name))
            for name in self.plant.names}

    def written_twice(self):
        """Values that the database holds twice and counts once. While it merges, an export without that may show some of one series twice that are
        not: what three exports agree on counts."""
        exports = []
        for _ in range(3):
            exports.append({(name, *entry) for name, verdict in self.judge({}, raw=True).items() for entry in verdict.duplicated})
            time.sleep(0.5)
        return len(set.intersection(*exports))

    def until_arrived(self, until):
        """Waits until all that was served by `until` (ns) is in the database; returns the verdicts."""
        began = time.monotonic()
        start_ms = self.verified_at // 1_000_000 - checker.EARLIER_MAX - 1000
        while True:
            try:
                verdicts = self.judge(self.verified, start_ms)
            except OSError as error:
                raise Trouble(f"the database does not answer: {error}") from error
            missing = sum(1 for verdict in verdicts.values() for _, served in verdict.lost if served <= until)
            if missing == 0:
                break
            if time.monotonic() - began > RECOVERY_SECONDS:
                examples = [(name, verdict.lost[:3]) for name, verdict in verdicts.items() if verdict.lost]
                raise Trouble(f"{missing} polls have not arrived {RECOVERY_SECONDS} s after healing: {examples}")
            self.peak_mib = max(self.peak_mib, self.gateway.resident_mib)
            time.sleep(0.05)
        for name in self.plant.names:
            self.verified[name] = max((n for n, served in self.plant.served[name].items() if served <= until), default=0)
        self.verified_at = until
        return time.monotonic() - began

    # The cycles

    def cycle(self, plan):
        time.sleep(plan.before)
        chosen = [self.proxies[index] for index in plan.clusters]
        brokers = [self.brokers[index] for index in plan.clusters]

        def links(order):
            for proxy in chosen:
                proxy.order(order)

        kind = plan.kind
        if kind in ("brokerKill", "failover", "brokerForgets"):
            for broker in self.brokers:
                wait_for(f"the receiver's connection to {broker.name}", 30, lambda broker=broker: has_connection(self.receiver, broker.port))
            self.until_arrived(time.time_ns())
        if kind == "gatewayKill":
            killed = self.gateway.kill()
            time.sleep(plan.seconds)
            self.kills.append((killed, time.time_ns()))
            self.gateway.start()
        elif kind in ("cableCut", "longCableCut", "halfOpen", "slowLink", "lateLink", "silentLink"):
            late, jitter = plan.latency
            links({"halfOpen": "swallow", "slowLink": f"rate {RATE}", "lateLink": f"latency {late} {jitter}",
                   "silentLink": "blackhole"}.get(kind, "cut"))
            if kind == "silentLink":
                links("reset")
            time.sleep(plan.seconds)
            links("pass")
        elif kind == "connectionReset":
            links(f"reset-after {int(plan.seconds * 20_000)}")
            time.sleep(plan.seconds)
            links("reset")
        elif kind in ("brokerKill", "failover"):
            for broker in brokers:
                broker.kill()
            time.sleep(plan.seconds)
            for broker in brokers:
                broker.start()
        elif kind == "brokerForgets":
            for broker in brokers:
                broker.forget()
            time.sleep(plan.seconds)
            for broker in brokers:
                broker.start()
        elif kind == "fullDisk":
            if self.disk.is_mounted:
                self.disk.fill()
                time.sleep(plan.seconds)
                self.disk.clear()
        elif kind == "receiverKill":
            self.receiver.kill()
            time.sleep(plan.seconds)
            self.receiver.start()
        elif kind == "databaseStop":
            self.database.end()
            time.sleep(plan.seconds)
            self.database.start()

    def play(self):
        kinds = [kind for kind in self.options.kinds if kind != "fullDisk" or self.disk.is_mounted]
        numbers = [self.options.cycle] if self.options.cycle else range(1, self.options.cycles + 1)
        for number in numbers:
            plan = Plan(self.options.seed, number, kinds, self.brokers)
            self.cycle(plan)
            where = ", ".join(self.brokers[index].name for index in plan.clusters)
            line = f"{number:4} {plan.kind:16} {where:18} {plan.seconds:5.1f} s"
            if plan.overlaps:
                line += "  the next follows at once"
            else:
                took = self.until_arrived(time.time_ns())
                self.recoveries.append(took)
                line += f"  all there after {took:5.1f} s"
            for part in self.parts:
                if not part.runs:
                    raise Trouble(f"{part.name} ended by itself:\n{part.last_words()}")
            self.lines.append((plan, line))
            print(line, flush=True)

    def start(self):
        for part in (*self.brokers, *self.proxies, self.database, self.plant):
            part.start()
        self.receiver.start()
        wait_for("the receiver subscribes", 30, self.is_subscribed)
        self.write_site()
        self.gateway.start()
        wait_for("the first poll", 20, lambda: self.plant.record.exists() and self.plant.record.stat().st_size)

    # The end

    def finish(self):
        """Drains and compares; returns the summary."""
        self.plant.end()
        self.until_arrived(time.time_ns())
        # Until then a signal ends the program as it ends any other.
        wait_for("the gateway's start", 60, lambda: self.gateway.said("gateway started") or not self.gateway.runs)
        status = self.gateway.end()
        verdict = checker.total(self.judge({}).values())
        summary = {
            "seed": self.options.seed, "cycles": len(self.lines), "kinds": collections.Counter(plan.kind for plan, _ in self.lines),
            **verdict.counts(), "samples": verdict.delivered * (1 + self.options.checks), "gatewayKills": len(self.kills),
            "writtenTwice": self.written_twice(), "slowestRecoverySeconds": round(max(self.recoveries, default=0), 1),
            "gatewayPeakMiB": round(self.peak_mib, 1),
        }
        problems = [] if verdict.is_clean else [f"{name}: {value[:5]}" for name, value in vars(verdict).items() if isinstance(value, list) and value]
        if status != 0:
            problems.append(f"the gateway ended with status {status}:\n{self.gateway.last_words()}")
        problems += self.compare_store(summary)
        summary["problems"] = problems
        return summary

    def compare_store(self, summary):
        """The ledger must balance, agree with what is in the store, and call nothing lost; the store must have nothing the database has not."""
        problems = []
        data = f"{self.disk.path}/data"
        ledger = json.loads(subprocess.run([self.options.indusedge, "ledger", data, "--json"], capture_output=True, text=True, check=False).stdout)
        problems += ledger["imbalances"]
        delivered = {name: {int(value) for _, value in tags.get("counter", [])} for name, tags in self.rows(0).items()}
        stored_polls = not_committed = 0
        for row in ledger["tags"]:
            if row["device"] not in delivered or row["tag"] != "counter":
                continue
            numbers, rows = self.stored_numbers(data, row["device"])
            stored_polls += len(numbers)
            not_committed += len(delivered[row["device"]] - numbers)
            if missing := numbers - delivered[row["device"]]:
                problems.append(f"{row['device']}: {len(missing)} stored polls are not in the database: {sorted(missing)[:5]}")
            if rows + row["notOnDisk"] + row["removed"] + row["thinned"] != row["stored"]:
                problems.append(f"{row['device']}: the ledger says {row['stored']} stored, {row['notOnDisk']} not on disk; the store has {rows}")
            for reader in row["cursors"]:
                if reader["evicted"] or reader["refused"]:
                    problems.append(f"{row['device']}: {reader['cursor']}: {reader['evicted']} evicted, {reader['refused']} refused")
        summary["storedPolls"] = stored_polls
        summary["deliveredNeverCommitted"] = not_committed
        return problems

    def stored_numbers(self, data, device):
        """The good poll numbers in the store, and how many rows there are in all."""
        output = subprocess.run(
            [self.options.indusedge, "query", data, "--device", device, "--tag", "counter", "--limit", "100000000", "--json"],
            capture_output=True, text=True, check=True).stdout
        rows = [json.loads(line) for line in output.splitlines()]
        return {int(row["value"]) for row in rows if row.get("value") is not None}, len(rows)

    def close(self):
        for part in self.parts:
            part.destroy()
        self.disk.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--indusedge", required=True, type=lambda text: str(Path(text).resolve()))
    parser.add_argument("--control", type=lambda text: str(Path(text).resolve()), help="indusedge-control, whose ingest receives")
    parser.add_argument("--payload", choices=("json", "sparkplugB"), default="json")
    parser.add_argument("--failover", choices=("ordered", "weighted", "latencyAware", "mirror"), default="ordered")
    parser.add_argument("--cycles", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--cycle", type=int, help="play this one alone")
    parser.add_argument("--kinds", type=lambda text: text.split(","), default=list(KINDS))
    parser.add_argument("--clusters", type=int, choices=(1, 2, 3), default=3)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--checks", type=int, default=8, help="registers beside the poll number")
    parser.add_argument("--period", type=int, default=50, help="milliseconds between polls")
    parser.add_argument("--commit-ms", type=int, default=100, help="twice what a commit may take, beyond its interval")
    parser.add_argument("--summary", help="file for the summary as JSON")
    parser.add_argument("--keep", action="store_true", help="keep the folder also when all is well")
    options = parser.parse_args()
    if options.payload != "json" and options.control is None:
        parser.error("the independent receiver only knows JSON; give --control for others")
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown kinds {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}")
    # Whoever starts this may have blocked signals, which the programs of the run would inherit: they end by SIGTERM.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    folder = tempfile.mkdtemp(prefix="indus-cycles-")
    print(f"seed {options.seed}, folder {folder}", flush=True)
    run = Run(options, folder)
    began = time.monotonic()
    try:
        run.start()
        run.play()
        summary = run.finish()
    except (Trouble, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
        summary = {"seed": options.seed, "cycles": len(run.lines), "problems": [f"{type(error).__name__}: {error}"]}
    finally:
        run.close()
    summary["seconds"] = round(time.monotonic() - began)
    text = json.dumps(summary)
    if options.summary:
        Path(options.summary).write_text(text + "\n")
    print(text)
    if summary["problems"]:
        print(f"FAILED; logs are in {folder}; --seed {options.seed} plays it again")
        sys.exit(1)
    if not options.keep:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
