#!/usr/bin/env python3
"""A second reader of the log's columns, written from docs/format/chunk.md: decodes golden files and compares.

    chunk_reader.py FILE...

Prints how many columns it read; exits 1 with a message for each that has other values than its file says.
"""
import struct
import sys

MASK = (1 << 64) - 1


class Damaged(Exception):
    pass


def signed(number):
    number &= MASK
    return number - (1 << 64) if number >> 63 else number


class Bytes:
    def __init__(self, data):
        self.data, self.place = data, 0

    def take(self, count):
        if self.place + count > len(self.data):
            raise Damaged("cut short")
        self.place += count
        return self.data[self.place - count:self.place]

    def u8(self):
        return self.take(1)[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if value > MASK:
                raise Damaged("more than 64 bits")
            if byte < 0x80:
                return value
            shift += 7

    def svarint(self):
        value = self.uvarint()
        return signed(value >> 1 ^ -(value & 1))

    def counted(self):
        return Bytes(self.take(self.uvarint()))

    def rest(self):
        return Bytes(self.take(len(self.data) - self.place))


def packed(source, count, finish=lambda index, residual: residual):
    values, base = [], 0
    while len(values) < count:
        rows = min(256, count - len(values))
        head = source.u8()
        width = head & 0x7F
        base = signed(base + source.svarint())
        exceptions = {}
        if head & 0x80:
            places = source.take(source.u8())
            exceptions = {place: source.svarint() for place in places}
        bits = int.from_bytes(source.take((rows * width + 7) // 8), "little")
        for row in range(rows):
            offset = bits >> row * width & (1 << width) - 1
            values.append(finish(row, signed(base + exceptions.get(row, offset))))
        if bits >> rows * width:
            raise Damaged("bits behind the last offset")
    return values


def integers(source, rows):
    encoding = source.u8()
    divisor, offset = (source.uvarint(), source.svarint()) if encoding & 0x80 else (1, 0)
    prediction, layout = encoding >> 4 & 7, encoding & 15
    heads = [source.svarint() for _ in range(prediction if prediction < 3 else 0)]
    slope = source.svarint() if prediction == 3 else 0
    count = rows - len(heads)
    if layout == 1:
        residuals = [source.svarint()] * count
    elif layout == 2:
        residuals = packed(source, count, lambda index, residual: signed(residual + (signed(index * slope) >> 8)))
    elif layout == 3:
        runs = source.uvarint()
        values = integers(source.counted(), runs)
        residuals = [value for value, length in zip(values, integers(source.rest(), runs)) for _ in range(length + 1)]
    elif layout == 4:
        entries = source.u8() + 1
        values = integers(source.counted(), entries)
        residuals = [values[index] for index in packed(source, count)]
    else:
        raise Damaged(f"encoding {encoding}")
    if len(residuals) != count or source.place != len(source.data):
        raise Damaged("lengths do not add up")
    if prediction == 1:
        column = heads
        for residual in residuals:
            column.append(signed(column[-1] + residual))
    elif prediction == 2:
        difference = heads[1]
        column = [heads[0], signed(heads[0] + difference)]
        for residual in residuals:
            difference = signed(difference + residual)
            column.append(signed(column[-1] + difference))
    else:
        column = residuals
    return [signed(offset + divisor * value) for value in column]


def pattern(ordered, width):
    number = ordered ^ (ordered >> 63 & (1 << width - 1) - 1)
    return number & (1 << width) - 1


def divided(digits, power, width):
    code, number = ("<d", "<Q") if width == 64 else ("<f", "<I")
    return struct.unpack(number, struct.pack(code, float(digits) / power))[0]


def floats(source, rows, width):
    encoding = source.u8()
    if encoding == 1:
        return [pattern(value, width) for value in integers(source.rest(), rows)]
    if encoding != 2:
        raise Damaged(f"encoding {encoding}")
    power = 10.0 ** source.u8()
    count = source.uvarint()
    places, values = (integers(source.counted(), count), integers(source.counted(), count)) if count else ([], [])
    column = [divided(digits, power, width) for digits in integers(source.rest(), rows)]
    for place, value in zip(places, values):
        column[place] = pattern(value, width)
    return column


def texts(source, rows):
    if source.u8() != 1:
        raise Damaged("encoding")
    distinct = source.uvarint()
    lengths = integers(source.counted(), distinct)
    indices = integers(source.counted(), rows)
    choices = [source.take(length) for length in lengths]
    if source.place != len(source.data):
        raise Damaged("lengths do not add up")
    return [choices[index] for index in indices]


def check(path):
    """Whether the file holds a column, whose values must be those of its bytes."""
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    kind, rows = lines[1].split()
    start = next(number for number, line in enumerate(lines) if line.startswith("bytes"))
    words = " ".join(lines[2:start]).split()
    if words[0] == "refused":
        return False
    source = Bytes(bytes.fromhex(" ".join(lines[start:]).removeprefix("bytes")))
    if kind == "integers":
        expected, found = [int(word) for word in words], integers(source, int(rows))
    elif kind == "texts":
        expected, found = [bytes.fromhex(word.replace("-", "")) for word in words], texts(source, int(rows))
    else:
        expected, found = [int(word, 16) for word in words], floats(source, int(rows), int(kind[5:]))
    if found != expected:
        raise Damaged(f"expected {expected[:8]}, found {found[:8]}")
    return True


def main():
    count, status = 0, 0
    for path in sys.argv[1:]:
        try:
            count += check(path)
        except (Damaged, IndexError) as damage:
            print(f"{path}: {damage}")
            status = 1
    print(f"{count} columns")
    sys.exit(status)


if __name__ == "__main__":
    main()
