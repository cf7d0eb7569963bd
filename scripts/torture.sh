#!/usr/bin/env bash
# Breaks logs on purpose: ROUNDS rounds (1000) from SEED (a new one), or one round again with SEED and ROUND; KIND chooses one kind of trouble.
# The mounts of full and read-only disks need root, injected errors strace; rounds of theirs are skipped, with a message, without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift build -c release --scratch-path .build-release --explicit-target-dependency-import-check error --product log-torture
options=()
if [[ -n ${SEED:-} ]]; then options+=(--seed "$SEED"); fi
if [[ -n ${KIND:-} ]]; then options+=(--kind "$KIND"); fi
if [[ -n ${ROUND:-} ]]; then options+=(--round "$ROUND"); else options+=(--rounds "${ROUNDS:-1000}"); fi
exec .build-release/release/log-torture "${options[@]}"
