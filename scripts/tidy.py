#!/usr/bin/env python3
"""Tidiness as a check: what the compiler does not see and a reviewer would have to look for every time.

    tidy.py [--indusedge BINARY]

Prints every finding as file:line: message and exits 1 if there is one. Without a binary, YAML files and broker configurations are not loaded.
"""
import argparse
import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Which module of ours may import which. Package.swift grants the same; a new line here is an architectural decision.
CORE = {"Telemetry", "GatewayCore"}
MAY_IMPORT = {
    "Telemetry": set(),
    "ChunkCodec": set(),
    "ModbusProtocol": set(),
    "Commissioning": {"Telemetry"},
    "GatewayCore": {"Telemetry", "CSystem"},
    "Interlock": {"Telemetry"},
    "Definitions": {"Telemetry", "Interlock"},
    "DefinitionImport": {"Telemetry", "Definitions"},
    "Acquisition": CORE | {"Interlock"},
    "ModbusAdapter": CORE | {"ModbusProtocol", "CModbus"},
    "ModbusFirewall": CORE | {"ModbusProtocol"},
    "Historian": CORE | {"ChunkCodec"},
    "Scoring": {"Telemetry"},
    "Sparkplug": {"Telemetry"},
    "Uplink": CORE | {"Compression", "Envelope", "Identity", "Sparkplug", "CMosquitto"},
    "Identity": CORE | {"COpenSSL"},
    "MQTTProtocol": {"Telemetry"},
    "Ingest": CORE | {"Compression", "Envelope", "Sparkplug"},
    "IngestService": CORE | {"Envelope", "Identity", "Sparkplug", "Ingest", "MQTTProtocol", "CCurl", "CPostgreSQL"},
    "AuditTrail": {"Telemetry", "Identity"},
    "Compression": {"Telemetry", "CZlib", "CZstd"},
    "Envelope": {"Telemetry", "Identity", "COpenSSL"},
    "PlantSimulation": {"Telemetry"},
    "Gateway": CORE | {"DefinitionImport", "Definitions", "Acquisition", "Commissioning", "ModbusProtocol", "ModbusAdapter", "ModbusFirewall", "Historian", "Scoring", "Sparkplug", "Uplink", "Identity", "Interlock", "AuditTrail"},
    "indusedge": CORE | {"Commissioning", "DefinitionImport", "Definitions", "Envelope", "Gateway", "Historian", "Identity", "ModbusAdapter", "PlantSimulation", "Sparkplug", "Uplink", "AuditTrail"},
    "indusedge-control": CORE | {"Envelope", "Gateway", "Identity", "Ingest", "IngestService"},
    "TestKit": CORE | {"Historian"},
}

# The importers of each C module, and the importers of each package of others.
ONLY_IMPORTERS = {
    "CModbus": {"ModbusAdapter"},
    "CMosquitto": {"Uplink"},
    "COpenSSL": {"Identity", "Envelope"},
    "CSystem": {"GatewayCore", "Historian"},
    "CZlib": {"Compression"},
    "CZstd": {"Compression"},
    "CCurl": {"IngestService"},
    "CPostgreSQL": {"IngestService"},
    "Yams": {"Definitions"},
    "DequeModule": {"Historian"},
    "GRDB": {"Historian"},
    "ArgumentParser": {"indusedge", "indusedge-control"},
    "ServiceLifecycle": {"Gateway"},
    "Logging": {"GatewayCore", "Acquisition", "ModbusFirewall", "Historian", "Uplink", "Gateway", "TestKit", "indusedge", "IngestService", "indusedge-control"},
    "SwiftProtobuf": set(),
}

# Codecs, detectors and state machines compile as Embedded Swift, where there is no Foundation.
WITHOUT_FOUNDATION = {"MQTTProtocol", "Ingest", "DefinitionImport", "Telemetry", "ChunkCodec", "ModbusProtocol", "Commissioning", "Scoring", "Sparkplug", "PlantSimulation", "Interlock"}

# The one file that may read a clock.
CLOCK_FILE = Path("Sources/GatewayCore/TimeSource.swift")

UNFINISHED = re.compile(r"\b(" + "|".join(("FIX" + "ME", "TO" + "DO", "XX" + "X")) + r")\b")
IMPORT = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
                    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
CRASHES = re.compile(r"\btry!|\bas!|\bfatalError\(")
CLOCKS = re.compile(r"\bDate\(\)|\bDate\.now\b|\b(?:Continuous|Suspending)Clock(?:\(\))?\.now\b|\bclock_gettime\(|\bgettimeofday\(")

findings = []


def report(path, line, message):
    findings.append(f"{path.relative_to(ROOT) if path.is_absolute() else path}:{line}: {message}")


def project_files():
    """Every file that git tracks or would track; in an export without git, every file outside of hidden and build folders."""
    listing = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode == 0:
        names = sorted({name.decode() for name in listing.stdout.split(b"\0") if name})
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in (".git", ".build", ".venv") and not name.startswith(".build-")]
        found += [Path(folder, name) for name in files]
    return sorted(found)


def lines_of(path):
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []  # not a text


def without_comment(line):
    """The line's code, without a // comment and the insides of its strings."""
    return re.sub(r"//.*", "", re.sub(r'"(?:\\.|[^"\\])*"', '""', line))


def check_unfinished(path):
    for number, line in enumerate(lines_of(path), 1):
        if match := UNFINISHED.search(line):
            report(path, number, f"{match.group(1)}: unfinished work belongs in the tracker, not in the tree")


def anchors(path):
    """The names under which a page's headings can be linked to, by GitHub's rule."""
    names = set()
    for line in lines_of(path):
        if match := HEADING.match(line):
            text = re.sub(r"[^\w\- ]", "", match.group(1).lower())
            names.add(text.replace(" ", "-"))
    return names


def check_links(path):
    fenced = False
    for number, line in enumerate(lines_of(path), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            file, _, anchor = target.partition("#")
            destination = (path.parent / file).resolve() if file else path
            if not destination.exists():
                report(path, number, f"dead link: {target}")
            elif anchor and destination.suffix == ".md" and anchor not in anchors(destination):
                report(path, number, f"dead link: {destination.name} has no heading #{anchor}")


def check_swift(path):
    relative = path.relative_to(ROOT)
    area, module = relative.parts[0], relative.parts[1]
    for number, line in enumerate(lines_of(path), 1):
        code = without_comment(line)
        if match := IMPORT.match(code):
            check_import(path, number, area, module, match.group(1))
        if area != "Sources" or module == "TestKit":
            continue
        if match := CRASHES.search(code):
            report(path, number, f"{match.group(0).rstrip('(')}: what comes from outside must not end the process")
        if relative != CLOCK_FILE and (match := CLOCKS.search(code)):
            report(path, number, f"{match.group(0)}: only {CLOCK_FILE.name} reads a clock; take a TimeSource or the time as a parameter")


def check_import(path, number, area, module, imported):
    if imported in ONLY_IMPORTERS and area == "Sources" and module not in ONLY_IMPORTERS[imported]:
        allowed = ", ".join(sorted(ONLY_IMPORTERS[imported])) or "no module, only tests"
        report(path, number, f"{module} imports {imported}, which is for {allowed}")
    if area != "Sources":
        return
    if module not in MAY_IMPORT:
        report(path, number, f"module {module} has no line in the import rules (scripts/tidy.py)")
    elif imported in MAY_IMPORT and imported not in MAY_IMPORT[module]:
        allowed = ", ".join(sorted(MAY_IMPORT[module])) or "none of ours"
        report(path, number, f"{module} imports {imported}, but may import: {allowed}")
    if module in WITHOUT_FOUNDATION and imported.startswith("Foundation"):
        report(path, number, f"{module} imports {imported}, but is a pure kernel")


def check_modules(files):
    """A folder of Swift sources says in its README.md what it is for."""
    modules = sorted({path.relative_to(ROOT).parts[1] for path in files if path.suffix == ".swift" and path.relative_to(ROOT).parts[0] == "Sources"})
    for module in modules:
        readme = ROOT / "Sources" / module / "README.md"
        if not readme.exists() or not readme.read_text(encoding="utf-8").strip():
            report(Path("Sources") / module, 1, "no README.md that says what the module is for")


def check_document(path, shown, line, indusedge):
    environment = dict(os.environ)
    for name in re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8")):  # those without a default of their own
        environment.setdefault(name, "1502" if name.endswith("_PORT") else os.path.join(tempfile.gettempdir(), "indusedge-tidy"))
    outcome = subprocess.run([indusedge, "check", path], env=environment, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        report(shown, line, "indusedge check refuses it:\n" + (outcome.stdout + outcome.stderr).rstrip())


def check_documents(files, indusedge):
    """Every YAML file that people start from, and the first example they see, is accepted by the program they use."""
    for path in files:
        if path.suffix in (".yaml", ".yml") and path.relative_to(ROOT).parts[0] in ("protocols", "firmware-config"):
            check_document(path, path, 1, indusedge)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    for fence in re.finditer(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        with tempfile.TemporaryDirectory() as folder:
            example = Path(folder) / "site.yaml"
            example.write_text(fence.group(1), encoding="utf-8")
            check_document(example, readme, text.count("\n", 0, fence.start()) + 1, indusedge)


def check_brokers(files, indusedge):
    """Every broker configuration is one that mosquitto starts with and listens by."""
    configurations = [path for path in files if path.suffix == ".conf" and path.parent.name == "mosquitto"]
    for path in configurations:
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
            identity = os.path.join(folder, "identity")
            made = subprocess.run([indusedge, "identity", "create-dev", identity], capture_output=True, text=True, check=False)
            if made.returncode != 0:
                report(path, 1, "no certificates to try it with:\n" + (made.stdout + made.stderr).rstrip())
                continue
            text = path.read_text(encoding="utf-8")
            for mark, value in (("@PORT@", str(port)), ("@IDENTITY@", identity), ("@USER@", getpass.getuser())):
                text = text.replace(mark, value)
            filled = Path(folder) / path.name
            filled.write_text(text, encoding="utf-8")
            probe.close()
            if complaint := broker_complaint(filled, port):
                report(path, 1, complaint)


def broker_complaint(configuration, port):
    """What mosquitto says when it does not come to listen; None when it does."""
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin")
    log = configuration.with_suffix(".log")
    with open(log, "w", encoding="utf-8") as output:
        broker = subprocess.Popen(["mosquitto", "-c", configuration], env=environment, stdout=output, stderr=output)
    try:
        for _ in range(100):
            if broker.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return None
            except OSError:
                time.sleep(0.1)
        return "mosquitto does not listen:\n" + log.read_text(encoding="utf-8").rstrip()
    finally:
        broker.terminate()
        broker.wait()


def check_units(files):
    """Every systemd unit is one that systemd understands."""
    units = [path for path in files if path.suffix == ".service"]
    if not units or not shutil.which("systemd-analyze"):
        return
    with tempfile.TemporaryDirectory() as folder:
        for unit in units:
            # The program is not installed where the unit looks for it, which is no fault of the unit.
            text = re.sub(r"^(Exec\w+=)/\S+", r"\1/bin/true", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)
            copy = Path(folder) / unit.name
            copy.write_text(text, encoding="utf-8")
            outcome = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False)
            complaints = [line for line in outcome.stderr.splitlines() if unit.name in line]
            if complaints:
                report(unit, 1, "systemd-analyze verify: " + "; ".join(complaints))


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--indusedge", help="the program that checks the YAML files and makes certificates")
    choice = options.parse_args()
    files = project_files()
    for path in files:
        top = path.relative_to(ROOT).parts[0]
        check_unfinished(path)
        if path.suffix == ".md":
            check_links(path)
        if path.suffix == ".swift" and top in ("Sources", "Tests"):
            check_swift(path)
    check_modules(files)
    check_units(files)
    if choice.indusedge:
        check_documents(files, choice.indusedge)
        check_brokers(files, choice.indusedge)
    print("\n".join(findings) if findings else f"tidy: {len(files)} files, nothing to complain about")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
