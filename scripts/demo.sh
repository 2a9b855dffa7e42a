#!/usr/bin/env bash
# Captures real traffic between two "pods" into demo.pcapng, or the file given. Makes its namespaces inside a
# private network and mount namespace, so that nothing is left of them however it ends.
set -euo pipefail
output=$(realpath -m "${1:-$(dirname "$0")/../demo.pcapng}")
cd "$(dirname "$0")/.."

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "demo: needs root to make network namespaces; run it as root" >&2; exit 4; }
    as_root=(sudo)
fi
# shellcheck disable=SC2016  # $@ is the inner shell's
exec "${as_root[@]}" unshare --mount --net --propagation private \
    sh -c 'mkdir -p /run/netns && mount -t tmpfs netns /run/netns && exec "$@"' demo \
    .venv/bin/python -m scripts.demo "$output"
