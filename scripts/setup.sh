#!/usr/bin/env bash
# Installs what is missing, and only that: Debian packages (scripts/apt-packages.txt), Python peers of the tests (.venv).
#   setup.sh            packages only: enough to build, for the demo and the benchmarks
#   setup.sh --peers    packages and the foreign peers of the tests
#   setup.sh --arm64    packages, and those to run the kernels for aarch64 (scripts/apt-packages-arm64.txt)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

swift_needed="6.2"
swift_developed="6.3.1"

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$1"
    shift
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}

# The version of the swift on the PATH; empty when there is none or it does not start.
swift_version() { swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1 || true; }

check_swift() {
    local found reason
    found=$(swift_version)
    if [[ -n $found && $(printf '%s\n%s\n' "$swift_needed" "$found" | sort -V | head -n 1) == "$swift_needed" ]]; then
        return
    fi
    if [[ -n $found ]]; then
        reason="the one on the PATH is $found ($(command -v swift))"
    elif command -v swift >/dev/null 2>&1; then
        reason="$(command -v swift) does not start: $(swift --version 2>&1 | head -n 1 || true)"
    else
        reason="there is no swift on the PATH"
    fi
    fail "Swift $swift_needed or later is needed (developed on $swift_developed): $reason." \
        "Install it the official way, by hand or with swiftly:" \
        "  https://www.swift.org/install/linux/" \
        "Open a new shell so that 'swift --version' works, then run the same command again."
}

lists=(scripts/apt-packages.txt)
if [[ ${1:-} == --arm64 ]]; then lists+=(scripts/apt-packages-arm64.txt); fi

# The names in the lists, without comments.
wanted_packages() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "${lists[@]}"; }

missing_packages() {
    local name
    while read -r name; do
        [[ $(dpkg-query -W -f='${db:Status-Abbrev}' "$name" 2>/dev/null) == ii* ]] || printf '%s\n' "$name"
    done < <(wanted_packages)
}

# Debian starts system-wide services as soon as a broker or a database is installed. Nobody asked for them: a policy file keeps
# them from starting now, and they are disabled for later. What was installed before is left as it was.
services=(mosquitto influxdb postgresql victoria-metrics)

install_packages() {
    local -a root=()
    local policy=/usr/sbin/policy-rc.d own_policy=no status=0 service
    local -a new=()
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null 2>&1 || fail "these packages are missing, and there is neither root nor sudo to install them:" "$*" \
            "As root: apt-get install --no-install-recommends $*"
        root=(sudo)
    fi
    say "installing: $*"
    for service in "${services[@]}"; do
        if [[ " $* " == *" $service "* ]]; then new+=("$service"); fi
    done
    if [[ ${#new[@]} -gt 0 && ! -e $policy ]]; then
        own_policy=yes
        printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
        "${root[@]}" chmod 755 "$policy"
    fi
    {
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
            "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
    } || status=$?
    [[ $own_policy == yes ]] && "${root[@]}" rm -f "$policy"
    [[ $status -eq 0 ]] || fail "apt-get could not install the packages (status $status); its message is above." "Wanted: $*"
    if [[ -d /run/systemd/system ]]; then
        for service in "${new[@]}"; do "${root[@]}" systemctl disable --now "$service.service" >/dev/null 2>&1 || true; done
    fi
}

setup_packages() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        fail "this is not Debian or Ubuntu, so the packages cannot be installed from here." \
            "Install what corresponds to: $(wanted_packages | tr '\n' ' ')" \
            "and set INDUS_SKIP_PACKAGES=1 to leave this step out."
    fi
    local -a missing
    mapfile -t missing < <(missing_packages)
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
}

setup_peers() {
    local requirements=Tests/Peers/requirements.txt python
    if [[ -x .venv/bin/python ]] && cmp -s "$requirements" .venv/requirements.installed; then return; fi
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && break
        python=""
    done
    [[ -n $python ]] || fail "Python 3.10 or later with the venv module is needed for the peers of the tests."
    say "installing the peers of the tests into .venv"
    "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" .venv/requirements.installed
}

# A swift that is there but does not start may only lack a library of the list, so it gets its chance afterwards.
if ! command -v swift >/dev/null 2>&1 || [[ -n $(swift_version) ]]; then check_swift; fi
[[ -n ${INDUS_SKIP_PACKAGES:-} ]] || setup_packages
check_swift
if [[ ${1:-} == --peers ]]; then setup_peers; fi
