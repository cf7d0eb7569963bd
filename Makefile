# Every command of the project. `make` alone explains them.
.DEFAULT_GOAL := help
.PHONY: help setup build demo check bench bench-modbus bench-log bench-uplink control uplink-cycles fuzz check-arm64 torture schema format clean

# Debug products and tests are built in .build, release products in .build-release: neither disturbs the other.
RELEASE := -c release --scratch-path .build-release --explicit-target-dependency-import-check error

# Debian keeps the broker where ordinary users do not look.
export PATH := $(PATH):/usr/sbin
# Without this, scripts leave compiled files beside the sources, which the build then remarks on.
export PYTHONDONTWRITEBYTECODE := 1

help: ## Show this list
	@echo "IndusEdge: Modbus in, health scored, encrypted MQTT out"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Each command first installs what is missing (scripts/apt-packages.txt). Needed beforehand: git, make, Swift 6.2 or later."

setup: ## Install what is missing: Debian packages, Python peers of the tests
	@scripts/setup.sh --peers

build: ## Build the gateway for use: .build-release/release/indusedge
	@scripts/setup.sh
	swift build $(RELEASE) --product indusedge

# Further settings of the demo: DEMO_SPEED=10 (simulated seconds per second), DEMO_FAULTS=none or a file with a fault script.
demo: build ## Run a simulated plant, a broker and the gateway, and watch (DEMO_SECONDS=30 ends by itself with a verdict)
	@scripts/demo.sh

check: setup ## Do what continuous integration does: format, build, tests, tidiness
	@scripts/check.sh

bench: build ## Measure the gateway end to end beside a C yardstick (about four minutes)
	@$(MAKE) --no-print-directory -C Benchmarks/endtoend
	@python3 Benchmarks/endtoend/bench.py $(BENCH)

bench-modbus: build ## Measure Modbus: flat out beside C, 500 small devices, 40 large ones (about six minutes)
	@$(MAKE) --no-print-directory -C Benchmarks/endtoend
	swift build $(RELEASE) --product modbus-bench
	@python3 Benchmarks/modbus/bench.py
	@python3 Benchmarks/endtoend/bench.py --workload 500x30@1s --workload 40x1000@100ms $(BENCH)

# BENCH="--seconds 600" makes the load last longer, --series FOLDER adds recorded series, --only PART measures one part (--only codec,
# ingest, commits, maximum, small-site, size, query, opening, memory), --samples NUMBER fills the store that is opened with fewer.
bench-log: ## Measure the log on this disk, and its codec beside Gorilla and C (about eight minutes)
	@scripts/setup.sh
	swift build $(RELEASE) --product log-codec-bench
	swift build $(RELEASE) --product log-bench
	@.build-release/release/log-bench $(BENCH)

# BENCH="--only drain --samples 8640000 --devices 1" drains less, as batches of 1,000 tags; other parts: size, encode, envelope,
# receive (the receiving end alone and behind a route), receive-victoriametrics, receive-influxdb, receive-postgresql.
bench-uplink: ## Measure the way up: drain of a day's backlog beside live data, bytes per sample, encoding, encryption, receiving (about six minutes)
	@scripts/setup.sh
	swift build $(RELEASE) --product uplink-bench
	@.build-release/release/uplink-bench $(BENCH)

# SEED=7 plays the same cycles again, CYCLE=12 its twelfth alone; further options in CYCLES_OPTIONS (Tests/Cycles/cycles.py --help).
# CYCLES_RECEIVER= (empty) takes a receiving end that shares no code with ours.
CYCLES_RECEIVER = --control .build-release/release/indusedge-control --payload sparkplugB
control: ## Build the receiving end, indusedge-control (release)
	@scripts/setup.sh
	swift build $(RELEASE) --product indusedge-control

uplink-cycles: build control ## Break everything between devices and database, and look whether each sample arrives once (CYCLES=200)
	@scripts/setup.sh --peers
	@.venv/bin/python Tests/Cycles/cycles.py --indusedge .build-release/release/indusedge $(CYCLES_RECEIVER) --cycles $(or $(CYCLES),200) $(if $(SEED),--seed $(SEED)) $(if $(CYCLE),--cycle $(CYCLE)) $(CYCLES_OPTIONS)

fuzz: ## Fuzz the decoders with the address sanitizer (FUZZ_SECONDS=60 each, FUZZ="ColumnTexts" picks)
	@scripts/setup.sh
	@scripts/fuzz.sh

check-arm64: ## Run the kernels as Embedded Swift for aarch64 under qemu
	@scripts/setup.sh --arm64
	@scripts/check-arm64.sh

# ROUND=12 with the SEED of a failed run repeats its round 12; KIND=powerLoss plays one kind of trouble only.
torture: ## Break logs on purpose and look whether they hold (ROUNDS=1000, SEED=7: see docs/reliability.md)
	@scripts/setup.sh
	@scripts/torture.sh

schema: build ## Write the JSON Schemas of the configuration into protocols/schema
	.build-release/release/indusedge schema site > protocols/schema/site.schema.json
	.build-release/release/indusedge schema protocol-definition > protocols/schema/protocol-definition.schema.json

format: ## Format the Swift sources in place
	@swift format format --in-place --parallel --recursive Package.swift Sources Tests

clean: ## Remove everything that was built, and the Python peers
	rm -rf .build .build-release .build-bench .build-demo .build-fuzz .build-arm64 .venv
	@$(MAKE) --no-print-directory -C Benchmarks/endtoend clean
