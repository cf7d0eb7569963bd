#!/usr/bin/env bash
# The whole check, as continuous integration runs it: format, debug build, tests, tidiness. Stops at the first failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build_flags=(--scratch-path .build --explicit-target-dependency-import-check error)

step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

SECONDS=0
step "format"
format_paths=(Package.swift Sources Tests)
if [[ -n $(find Benchmarks -name '*.swift' -print -quit) ]]; then format_paths+=(Benchmarks); fi
swift format lint --strict --parallel --recursive "${format_paths[@]}"

step "benchmark tools"
make --no-print-directory -C Benchmarks/endtoend
find Benchmarks Tests scripts -name '*.py' -print0 |
    xargs -0 python3 -c 'import ast, sys; [ast.parse(open(path).read(), path) for path in sys.argv[1:]]'

step "fuzz targets"
scripts/fuzz.sh --check

step "build"
swift build --build-tests "${build_flags[@]}"

step "tests"
log=.build/test.log
status=0
# Many tests start programs and wait for them: more at once than this only make each other late.
export SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=${SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH:-6}
# Tests that compute for seconds and tests that talk to other programs would take each other's processor: one group after the other.
live='^(EndToEnd|Gateway|Uplink|ModbusAdapter|ModbusFirewall)Tests\.'
: >"$log"
for group in --skip --filter; do
    swift test --skip-build "${build_flags[@]}" "$group" "$live" 2>&1 | tee -a "$log" || status=$?
done
if [[ $status -ne 0 ]]; then
    printf '\nFailed (from %s):\n' "$log"
    grep -E '(^|[^[:alnum:]])(recorded an issue|failed after|error:|Fatal error)' "$log" | grep -v ' started\.$' | tail -n 40 || true
fi

if [[ $status -eq 0 ]]; then
    step "tidy"
    python3 scripts/tidy.py --indusedge .build/debug/indusedge || status=$?
fi

printf '\n== summary (%d s)\n' "$SECONDS"
grep -E '(Test run with|Executed [1-9][0-9]* tests)' "$log" || printf 'no test summary in %s\n' "$log"
# Last, because whoever keeps only the end of the output needs it most.
if [[ $status -ne 0 ]]; then
    grep -E ' recorded an issue | failed after |Fatal error' "$log" | grep -vE 'Suite|Test run' | cut -c1-400 | sort -u | tail -n 12 || true
fi
if [[ $status -eq 0 ]]; then echo "check: passed"; else echo "check: FAILED"; fi
exit "$status"
