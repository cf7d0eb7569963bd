#!/usr/bin/env bash
# The kernels as Embedded Swift for aarch64, run under qemu, have to print what they print on this machine (Tests/Embedded).
# Ends well, with a message, where the tools are missing: swiftc with Embedded Swift for aarch64, clang, ld.lld, qemu-aarch64-static
# (scripts/apt-packages-arm64.txt).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

skip() {
    echo "check-arm64: skipped, $1"
    exit 0
}
for tool in swiftc clang ld.lld qemu-aarch64-static python3; do
    command -v "$tool" > /dev/null || skip "there is no $tool on the PATH"
done
library=$(dirname "$(dirname "$(readlink -f "$(command -v swiftc)")")")/lib/swift/embedded
[[ -d $library/Swift.swiftmodule && -d $library/aarch64-none-none-elf ]] || skip "this swiftc has no Embedded Swift for aarch64 ($library)"

build=.build-arm64
mkdir -p "$build"
sources=(Sources/ChunkCodec/*.swift Sources/Historian/CRC32C.swift Sources/ModbusProtocol/*.swift Tests/Embedded/*.swift)
flags=(-O -wmo -parse-as-library -swift-version 6 -package-name indusedge -module-name Runner -import-objc-header Tests/Embedded/platform.h
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
    -enable-upcoming-feature MemberImportVisibility)

echo "check-arm64: for this machine"
clang -O2 -Wall -Wextra -Werror -c Tests/Embedded/hosted.c -o "$build/hosted.o"
clang -O2 -Wall -Wextra -Werror -ISources/CSystem/include -c Sources/CSystem/CRC32C.c -o "$build/crc32c-here.o"
swiftc "${flags[@]}" "${sources[@]}" "$build/hosted.o" "$build/crc32c-here.o" -o "$build/runner-here"

echo "check-arm64: for aarch64, embedded"
target=aarch64-none-none-elf
clang --target=$target -O2 -Wall -Wextra -Werror -ffreestanding -fno-builtin -c Tests/Embedded/aarch64.c -o "$build/aarch64.o"
clang --target=$target -O2 -Wall -Wextra -Werror -ffreestanding -ISources/CSystem/include -c Sources/CSystem/CRC32C.c -o "$build/crc32c-arm64.o"
swiftc "${flags[@]}" -enable-experimental-feature Embedded -target $target -Xcc -ffreestanding -Xfrontend -function-sections \
    -c "${sources[@]}" -o "$build/runner-arm64.o"
ld.lld -static --gc-sections -o "$build/runner-arm64" "$build/aarch64.o" "$build/crc32c-arm64.o" "$build/runner-arm64.o"

# Every golden column: kind, rows, byte count, bytes.
python3 - > "$build/golden.bin" << 'PYTHON'
import struct, sys
from pathlib import Path
for path in sorted(Path("Tests/ChunkCodecTests/Golden").glob("*.txt")):
    lines = path.read_text(encoding="utf-8").splitlines()
    kind, rows = lines[1].split()
    start = next(number for number, line in enumerate(lines) if line.startswith("bytes"))
    column = bytes.fromhex(" ".join(lines[start:]).removeprefix("bytes"))
    number = ("integers", "float64", "float32", "texts").index(kind)
    sys.stdout.buffer.write(struct.pack("<BII", number, int(rows), len(column)) + column)
PYTHON
"$build/runner-here" < "$build/golden.bin" > "$build/here.txt"
qemu-aarch64-static "$build/runner-arm64" < "$build/golden.bin" > "$build/arm64.txt"
diff "$build/here.txt" "$build/arm64.txt" || {
    echo "check-arm64: FAILED, aarch64 prints something else (> above)"
    exit 1
}
if grep -E 'ffffffffffffffff|other bytes' "$build/here.txt"; then
    echo "check-arm64: FAILED, a column or frame does not come back, or a golden column has other bytes"
    exit 1
fi
# What it must print whatever happens to runner and script: the check value of CRC-32C, and a line for each golden column.
grep -q '^crc32c 123456789 00000000e3069283$' "$build/arm64.txt"
grep -q '^crc32c by instruction 123456789 00000000e3069283$' "$build/arm64.txt"
# And that of CRC-16/MODBUS.
grep -q '^modbus crc 123456789 0000000000004b37$' "$build/arm64.txt"
golden=$(grep -cE '^(golden|refused) ' "$build/arm64.txt")
[[ $golden -eq $(find Tests/ChunkCodecTests/Golden -name '*.txt' | wc -l) ]]
echo "check-arm64: passed, $golden golden and $(grep -c '^generated' "$build/arm64.txt") generated and $(grep -c '^modbus' "$build/arm64.txt") Modbus lines, the same on $(uname -m) and aarch64"
