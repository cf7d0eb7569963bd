"""The real programs of a run, each on free loopback ports and in folders of its own: started, broken, healed and ended."""
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / "Peers"


class Trouble(Exception):
    """Something of the run itself does not work."""


def free_port():
    """A port below the range from which clients get theirs, so that none takes it while its server is away."""
    for _ in range(500):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Trouble("no free port")


def wait_for(what, seconds, condition, pause=0.02):
    """The first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Trouble(f"{what}: not within {seconds} s")
        time.sleep(pause)
    return value


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def has_connection(process, port):
    """Whether a process has a TCP connection to a local port."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[2].rpartition(":")[2], 16) == port and fields[3] == "01":
                inodes.add(f"socket:[{fields[9]}]")
    try:
        return any(os.readlink(file) in inodes for file in Path(f"/proc/{process.child.pid}/fd").iterdir())
    except OSError:
        return False


class Process:
    """A program that may be killed and started again; everything it says goes to one file."""

    def __init__(self, name, command, folder, environment=None):
        self.name, self.command, self.folder = name, command, Path(folder)
        self.environment = {**os.environ, **(environment or {})}
        self.log = self.folder / f"{name}.log"
        self.child = None
        self.begun = 0

    def start(self):
        with open(self.log, "ab") as log:
            self.begun = log.tell()
            self.child = subprocess.Popen(
                self.command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def runs(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        """SIGKILL; returns the time after which the process did nothing any more, in ns."""
        self.child.send_signal(signal.SIGKILL)
        moment = time.time_ns()
        self.child.wait()
        return moment

    def end(self, seconds=30):
        """SIGTERM; the exit status."""
        if not self.runs:
            return self.child.returncode if self.child else 0
        self.child.terminate()
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise Trouble(f"{self.name} did not end within {seconds} s of SIGTERM") from None

    def destroy(self):
        if self.runs:
            self.child.kill()
            self.child.wait()

    def said(self, text):
        """Whether it said that since it was started last."""
        with open(self.log, "rb") as log:
            log.seek(self.begun)
            return text.encode() in log.read()

    @property
    def resident_mib(self):
        try:
            for line in Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        except OSError:
            pass
        return 0.0

    def last_words(self, lines=8):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


class Broker(Process):
    """A mosquitto with TLS 1.3 and client certificates: one cluster."""

    def __init__(self, name, folder, identity):
        folder = Path(folder) / name
        folder.mkdir()
        self.port = free_port()
        self.data = folder
        (folder / "mosquitto.conf").write_text("\n".join((
            *(["user root"] if os.getuid() == 0 else []), f"listener {self.port} 127.0.0.1", "log_dest stderr",
            "persistence true", f"persistence_location {folder}/", "autosave_interval 1",
            "max_inflight_messages 0", "max_queued_messages 0", "max_inflight_bytes 0", "max_queued_bytes 0",
            f"cafile {identity}/ca.crt", f"certfile {identity}/broker.crt", f"keyfile {identity}/broker.key", "tls_version tlsv1.3",
            "require_certificate true", "use_identity_as_username true", "allow_anonymous false")) + "\n")
        super().__init__(name, ["mosquitto", "-c", str(folder / "mosquitto.conf")], folder,
                         {"PATH": os.environ["PATH"] + ":/usr/sbin"})

    def start(self):
        super().start()
        wait_for(f"{self.name} listens", 10, lambda: listens(self.port))

    def forget(self):
        """Ends in order, and loses what it kept: sessions, queued and retained messages."""
        self.end()
        for file in self.data.glob("mosquitto.db*"):
            file.unlink()


class Proxy(Process):
    """The network between the gateway and one broker."""

    def __init__(self, name, folder, broker, seed):
        self.port = free_port()
        self.socket = Path(folder) / f"{name}.sock"
        super().__init__(
            name, [sys.executable, str(PEERS / "fault_proxy.py"), "--listen", str(self.port), "--target", f"127.0.0.1:{broker.port}",
                   "--control", str(self.socket), "--seed", str(seed)], folder)

    def start(self):
        super().start()
        wait_for(f"{self.name} listens", 10, lambda: self.socket.exists() and listens(self.port))

    def order(self, line):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.socket))
            control.sendall(line.encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                if not (piece := control.recv(4096)):
                    raise Trouble(f"{self.name} gave no answer to {line}")
                answer += piece
        answer = json.loads(answer)
        if "error" in answer:
            raise Trouble(f"{self.name}: {line}: {answer['error']}")
        return answer


class Plant(Process):
    """The devices."""

    def __init__(self, folder, devices, checks):
        self.record = Path(folder) / "served.txt"
        self.names = [f"machine-{index + 1}" for index in range(devices)]
        self.ports = []
        self.served = {name: {} for name in self.names}
        self.offset = 0
        super().__init__(
            "plant", [sys.executable, str(HERE / "plant.py"), "--record", str(self.record), "--devices", str(devices),
                      "--checks", str(checks)], folder)

    def start(self):
        super().start()
        ready = wait_for("plant", 10, lambda: next((x for x in self.log.read_text().splitlines() if x.startswith("READY")), None))
        self.ports = [int(word) for word in ready.split()[1:]]

    def read(self):
        """Takes over what was recorded since the last call."""
        with open(self.record, "rb") as file:
            file.seek(self.offset)
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self.offset += len(text)
        for line in text.decode().splitlines():
            name, number, moment = line.split()
            self.served[name][int(number)] = int(moment)


class Database(Process):
    """VictoriaMetrics. Samples of one series within a millisecond count as one; the gateway never polls a group twice in one."""

    def __init__(self, folder):
        folder = Path(folder) / "victoria-metrics"
        folder.mkdir()
        self.port = free_port()
        super().__init__(
            "victoria-metrics",
            ["victoria-metrics", f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=10y",
             "-dedup.minScrapeInterval=1ms", "-memory.allowedBytes=200MB", "-search.disableCache"], folder)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        super().start()
        wait_for("victoria-metrics answers", 20, self.is_healthy, 0.05)

    def is_healthy(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def export(self, selector, start_ms, raw=False):
        """Every series that matches, as (labels, [(time, value)…]) sorted by time; `raw` also shows samples that queries count as one."""
        query = [("match[]", selector), ("start", str(start_ms / 1000))] + ([("reduce_mem_usage", "1")] if raw else [])
        series = {}
        with urllib.request.urlopen(f"{self.url}/api/v1/export?{urllib.parse.urlencode(query)}", timeout=60) as answer:
            for line in answer:
                block = json.loads(line)
                key = tuple(sorted(block["metric"].items()))
                series.setdefault(key, []).extend(zip(block["timestamps"], block["values"]))
        return [(dict(key), sorted(rows)) for key, rows in series.items()]


class Disk:
    """The gateway's data folder on a file system so small that it can be filled; an ordinary folder where mounting is not allowed."""

    SIZE_MIB = 192

    def __init__(self, folder):
        self.path = Path(folder) / "disk"
        self.path.mkdir()
        self.ballast = self.path / "ballast"
        self.is_mounted = os.getuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={self.SIZE_MIB}m", "tmpfs", str(self.path)], capture_output=True, check=False
        ).returncode == 0

    def fill(self):
        """To the last byte."""
        with open(self.ballast, "wb", buffering=0) as file:
            size = 1 << 20
            while size:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    size //= 2

    def clear(self):
        self.ballast.unlink(missing_ok=True)

    def remove(self):
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)


def client_context(identity):
    """TLS 1.3 with the subscriber's certificate."""
    context = ssl.create_default_context(cafile=f"{identity}/ca.crt")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(f"{identity}/subscriber.crt", f"{identity}/subscriber.key")
    return context
