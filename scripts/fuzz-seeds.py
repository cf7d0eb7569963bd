#!/usr/bin/env python3
"""Writes what the golden files hold as first inputs of the fuzz targets.

    fuzz-seeds.py FOLDER        one sub-folder for each target of Tests/Fuzz
"""
import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {"integers": "ColumnIntegers", "float32": "ColumnFloats", "float64": "ColumnFloats", "texts": "ColumnTexts"}


def write(folder, target, data):
    (folder / target).mkdir(parents=True, exist_ok=True)
    (folder / target / ("golden-" + hashlib.sha1(data).hexdigest()[:12])).write_bytes(data)


def columns(folder):
    """Two bytes with the number of rows less one, then the column."""
    for path in sorted((ROOT / "Tests/ChunkCodecTests/Golden").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        kind, rows = lines[1].split()
        start = next(number for number, line in enumerate(lines) if line.startswith("bytes"))
        column = bytes.fromhex(" ".join(lines[start:]).removeprefix("bytes"))
        write(folder, TARGETS[kind], (int(rows) - 1).to_bytes(2, "little") + column)


def blocks(folder):
    """A byte that chooses, rows, bytes of the head; then the header, the index, or a chunk."""
    for name, kind in (("block", 2), ("block-thinned", 3)):
        text = (ROOT / f"Tests/HistorianTests/Golden/{name}.hex").read_text(encoding="utf-8")
        block = bytes.fromhex("".join(re.sub(r"#.*", "", line) for line in text.splitlines()))
        start = int.from_bytes(block[56:64], "little")
        index = block[start:]
        rows, head, size = (int.from_bytes(index[place:place + 4], "little") for place in (12, 16, 20))
        write(folder, "Block", bytes(4) + block[:80])
        write(folder, "Block", bytes([1, 0, 0, 0]) + index)
        write(folder, "Block", bytes([kind, (rows - 1) & 0xFF, (rows - 1) >> 8, head]) + block[80:80 + size])


def journal(folder):
    """The header, and each record as its kind and payload; the descriptors as a catalogue, too."""
    text = (ROOT / "Tests/HistorianTests/Golden/segment.hex").read_text(encoding="utf-8")
    segment = bytes.fromhex("".join(re.sub(r"#.*", "", line) for line in text.splitlines()))
    write(folder, "JournalRecord", segment[:48])
    offset = 48
    catalogue = b"IECATAL\n"
    while offset + 12 <= len(segment):
        length = int.from_bytes(segment[offset:offset + 4], "little")
        write(folder, "JournalRecord", segment[offset + 4:offset + 5] + segment[offset + 12:offset + 12 + length])
        if segment[offset + 4] == 1:
            catalogue += segment[offset:offset + 12 + length]
        offset += 12 + length
    write(folder, "Catalogue", b"\0" + catalogue)
    write(folder, "Catalogue", b"\1" + catalogue)


def imports(folder):
    """A byte for the format, then the file."""
    formats = {".csv": 1, ".toml": 2, ".json": 3}
    for path in sorted((ROOT / "Tests/DefinitionImportTests/Fixtures").iterdir()):
        if path.suffix in formats:
            write(folder, "ImportFile", bytes([formats[path.suffix]]) + path.read_bytes())


def chains(folder):
    """The answers of a device in the order they are asked for, each behind a byte 0: the mark, the heads of its models, their points."""
    registers = {}
    text = (ROOT / "Tests/DefinitionImportTests/Fixtures/sunspec-inverter.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            start, *words = line.split()
            registers.update({int(start) + index: int(word, 16) for index, word in enumerate(words)})
    answer = lambda start, count: bytes(1) + b"".join(registers[start + index].to_bytes(2, "big") for index in range(count))
    data, points, address = answer(40000, 2), b"", 40002
    while True:
        data += answer(address, 2)
        model, length = registers[address], registers[address + 1]
        if model == 0xFFFF:
            break
        for offset in range(0, length if model < 64000 else 0, 100):
            points += answer(address + 2 + offset, min(100, length - offset))
        address += 2 + length
    write(folder, "SunSpecChain", data + points)


def modbus(folder):
    """Requests; answers behind their requests; frames; and frames as the answers to a choice of requests."""
    for path in sorted((ROOT / "protocols/modbus/frames").glob("*.txt")):
        lines = [line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        frames = {key: value for key, value in lines if "." in key}
        request, answer = (bytes.fromhex(frames[kind + ".tcp"])[7:] for kind in ("request", "answer"))
        write(folder, "ModbusRequestPDU", request)
        write(folder, "ModbusResponsePDU", bytes([len(request)]) + request + answer)
        for key, value in frames.items():
            frame = value.encode() + b"\r\n" if key.endswith("ascii") else bytes.fromhex(value)
            write(folder, "ModbusFrames", frame)
            framing = ["tcp", "rtu", "ascii"].index(key.split(".")[1])
            for form in range(7):
                write(folder, "ModbusReplies", bytes([3 * form + framing, 17]) + frame)


def envelopes(folder):
    """An envelope without keys that fit, what is inside of one, and the payloads of the golden frames."""
    header = bytes.fromhex("8901") + b"\x69gateway-1" + b"\x67central" + b"\x64east" + bytes.fromhex("000700") + b"\x1b" + bytes(7) + b"\x01" + b"\x48" + bytes(8)
    # A head of eight bytes holds what fits no fewer.
    header = header.replace(b"\x1b" + bytes(7) + b"\x01", b"\x1b\x18" + bytes(7))
    text = lambda data: (bytes([0x40 + len(data)]) if len(data) < 24 else bytes([0x58, len(data)]) if len(data) < 256 else b"\x59" + len(data).to_bytes(2, "big")) + data
    protected = b"\xa3\x01\x03\x05\x4c" + bytes(11) + b"\x01" + b"\x3a\x00\x01\x11\x70" + header
    key = b"\xa4\x01\x02\x20\x01\x21" + text(bytes(32)) + b"\x22" + text(bytes(32))
    recipient = b"\x83" + text(b"\xa1\x01\x38\x1e") + b"\xa2\x04" + text(bytes(8)) + b"\x20" + key + text(bytes(40))
    content = b"\xd8\x60\x84" + text(protected) + b"\xa0" + text(bytes(40)) + b"\x81" + recipient
    write(folder, "Envelope", b"\xd2\x84" + text(b"\xa2\x01\x26\x04" + text(bytes(8))) + b"\xa0" + text(content) + text(bytes(64)))
    write(folder, "Envelope", b"\x83\x61t\x83\x01\x02\x03" + text(b"payload"))
    write(folder, "Envelope", b"\x82\x01\x81\x82\x81\x83\x82\x05" + header + b"\x81\x00\x81\x07\xf6")
    metric = bytes.fromhex("1214100318" "88c7f1c2b134" "69" "0000000000001d40")
    write(folder, "MetricColumns", bytes.fromhex("0888c7f1c2b134") + 3 * metric + bytes.fromhex("1801") + b"\x22\x051-2-3")


if __name__ == "__main__":
    columns(Path(sys.argv[1]))
    blocks(Path(sys.argv[1]))
    journal(Path(sys.argv[1]))
    imports(Path(sys.argv[1]))
    chains(Path(sys.argv[1]))
    modbus(Path(sys.argv[1]))
    envelopes(Path(sys.argv[1]))
