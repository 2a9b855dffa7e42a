#!/usr/bin/env bash
# The tests of pure logic on emulated arm64: Debian's Python there, wheels, and qemu's user mode. It needs no root.
# Packages are kept in CACHE; what the emulated processor compiles is kept, too. Words are pytest's: tests/unit/stream, say.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${CACHE:-/var/cache/bicap-arm64}
mkdir -p "$cache"/{lists,archives}/partial "$cache/compiled"

root=$cache/root
if [ ! -d "$root" ]; then
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' | head -1)
    echo "deb [trusted=yes check-valid-until=no arch=arm64] $mirror bookworm main" >"$cache/sources.list"
    : >"$cache/status" # nothing is installed: apt fetches all that Python needs
    apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Install-Recommends=false
        -o APT::Sandbox::User=root -o Dir::State::status="$cache/status" -o Dir::State::lists="$cache/lists"
        -o Dir::Etc::sourcelist="$cache/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::Cache::archives="$cache/archives" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    "${apt[@]}" update
    "${apt[@]}" -y --download-only install python3 libpcap0.8 libstdc++6
    rm -rf "$root.new"
    for package in "$cache"/archives/*.deb; do dpkg -x "$package" "$root.new"; done
    mv "$root.new" "$root"
fi

names=$(python3 -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*p["dependencies"], *p["optional-dependencies"]["parquet"], "pytest", "hypothesis", sep="\n")')
packages=$cache/packages-$(sha256sum <<<"$names" | cut -c1-12)
if [ ! -d "$packages" ]; then
    rm -rf "$packages.new"
    mapfile -t wanted <<<"$names"
    python3 -m pip install -qq --target="$packages.new" --only-binary=:all: --implementation cp --python-version 3.11 \
        --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_28_aarch64 "${wanted[@]}"
    mv "$packages.new" "$packages"
fi

# Emulation cannot start programs, nor is it fast: what does so, or measures time, is left to the machine's own.
[ $# -gt 0 ] || set -- tests/unit --ignore tests/unit/bench --ignore tests/unit/test_wheel.py \
    --ignore tests/unit/cluster/test_validations.py --ignore tests/unit/cluster/test_manifests.py
exec env PYTHONPATH="$PWD:$packages" PYTHONHOME="$root/usr" PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR="$cache/compiled" \
    qemu-aarch64-static -L "$root" "$root/usr/bin/python3.11" -m pytest -q -p no:cacheprovider "$@"
