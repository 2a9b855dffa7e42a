#!/usr/bin/env bash
# Turns a fresh Debian 12 into a machine that can run bicap: packages, .venv, bcc inside it, compiled loops.
# Run again it only checks, in well under a second.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(python3-bpfcc tcpdump tshark iproute2 iputils-ping libpcap0.8 procps)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

stamp=.venv/.installed-from
wanted=$(cat pyproject.toml scripts/setup.sh | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "setup: installing Python packages into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -e '.[dev]'
    # Only bcc comes from the distribution: the whole dist-packages folder would shadow the venv's own versions.
    site=$(.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')
    ln -sfn /usr/lib/python3/dist-packages/bcc "$site/bcc"
    .venv/bin/python -c 'from capture.stream import merge; merge.compiled()'
    echo "$wanted" >"$stamp"
fi
