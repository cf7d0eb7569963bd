#!/usr/bin/env bash
# Builds the fuzz targets of Tests/Fuzz with libFuzzer and the address sanitizer, and lets each run for a while.
#   FUZZ_SECONDS=60    how long each target runs
#   FUZZ="A B"         which targets; all if not given
# Exits 1 when a target found something; what it found is in .build-fuzz/artifacts.
# With --check it only looks whether the targets' files are still all that they need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${FUZZ_SECONDS:-60}
read -r -a targets <<< "${FUZZ:-ColumnIntegers ColumnFloats ColumnTexts JournalRecord Catalogue Block SparkplugPayload ModbusRequestPDU ModbusResponsePDU ModbusFrames ModbusReplies ImportFile SunSpecChain Envelope MetricColumns}"
build=.build-fuzz
if [[ ${1:-} == --check ]]; then build+=/check; fi
flags=(-parse-as-library -swift-version 6 -package-name indusedge -I "$build"
    -enable-upcoming-feature ExistentialAny -enable-upcoming-feature InternalImportsByDefault
    -enable-upcoming-feature MemberImportVisibility)
fuzzing=(-O -g -sanitize=fuzzer,address -use-ld=lld)
mkdir -p "$build" "$build/artifacts"

# Modules as far as the targets need them: of the Historian the codecs of journal and blocks, of the core what they mention.
module() {
    local name=$1
    shift
    local output=(-emit-module -emit-module-path "$build/$name.swiftmodule")
    if [[ $build == */check ]]; then
        swiftc "${flags[@]}" -wmo -module-name "$name" "${output[@]}" "$@"
    else
        swiftc "${flags[@]}" "${fuzzing[@]}" -wmo -module-name "$name" "${output[@]}" -c "$@" -o "$build/$name.o"
    fi
}
module Telemetry Sources/Telemetry/*.swift
module ChunkCodec Sources/ChunkCodec/*.swift
module Sparkplug Sources/Sparkplug/*.swift
module Interlock Sources/Interlock/*.swift
mapfile -t definitions < <(find Sources/Definitions -name "*.swift" ! -name YAMLReader.swift ! -name "Configuration*.swift" ! -name LogPathGuess.swift | sort)
module Definitions "${definitions[@]}"
module DefinitionImport Sources/DefinitionImport/*.swift Sources/DefinitionImport/SunSpec/*.swift
# Of the envelope what reads bytes; the rest needs keys.
module Envelope -enable-testing Sources/Envelope/{CBORReader,CBORWriter,COSEMessage,EnvelopeContent,EnvelopeHeader,EnvelopeRefusal,EnvelopeSuite,ReplayGuard}.swift
module Compression -enable-testing -I Sources/CZlib -I Sources/CZstd Sources/Compression/*.swift
module ModbusProtocol Sources/ModbusProtocol/*.swift
module GatewayCore Sources/GatewayCore/{BootID,ClockDiscipline,MonotonicInstant}.swift
module Historian -enable-testing Sources/Historian/{ByteCoding,CRC32C,JournalFormat,JournalRecord,Tally,Segment,ClockBook,PackedTallies,PartitioningIndex}.swift \
    Sources/Historian/{RecordScanner,CatalogueFormat,BlockFormat,ChunkRows,ChunkEncoder,ChunkReader,ColumnLanes,StreamSummaries,TagSummary}.swift

if [[ $build == */check ]]; then
    for target in "${targets[@]}"; do
        swiftc "${flags[@]}" -typecheck -I Sources/CZlib -I Sources/CZstd -module-name "Fuzz$target" "Tests/Fuzz/$target.swift"
    done
    exit
fi

# A target begins with what the golden files hold.
python3 scripts/fuzz-seeds.py "$build/corpus"

status=0
for target in "${targets[@]}"; do
    swiftc "${flags[@]}" "${fuzzing[@]}" -I Sources/CZlib -I Sources/CZstd -module-name "Fuzz$target" "Tests/Fuzz/$target.swift" "$build"/*.o -o "$build/$target"
    mkdir -p "$build/corpus/$target"
done
for target in "${targets[@]}"; do
    echo "== $target, $seconds s"
    # A backtrace of Swift's own would come before the sanitizer's report, and take its time.
    SWIFT_BACKTRACE=enable=no "$build/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$build/artifacts/$target-" "$build/corpus/$target" > "$build/$target.log" 2>&1 || {
        status=1
        echo "$target found something:"
        tail -n 40 "$build/$target.log"
        continue
    }
    grep -E 'stat::number_of_executed_units|stat::peak_rss_mb|^Done ' "$build/$target.log" || true
done
exit "$status"
