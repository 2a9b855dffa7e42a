#!/usr/bin/env bash
# image.sh [NAME:TAG] [OUT.tar]: an image of bicap without Docker: Debian with bcc, the wheels that pyproject.toml names,
# and this commit. Each layer is kept under a hash of what it is made of, so a change of bicap takes seconds.
# The same as deploy/Containerfile, which needs an engine.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:-localhost/bicap:dev}
out=$(realpath -m "${2:-bicap-image.tar}")
cache=${BICAP_IMAGE_CACHE:-/var/cache/bicap-image}
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

site=usr/local/lib/python3.11/dist-packages
python=/usr/bin/python3 # Debian's, whose bytecode the image can use
packages=usr-is-merged,python3-bpfcc,libpcap0.8
pack=(tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@946684800)
digest() { sha256sum | cut -c1-16; }

sources=(/etc/apt/sources.list.d/*.sources)
base=$cache/base-$(cat "${sources[@]}" <(echo "$packages") | digest).tar
if [ ! -e "$base" ]; then
    echo "image: Debian with $packages"
    # Perl comes for usrmerge only, which is not needed with usr-is-merged.
    mmdebstrap --quiet --variant=minbase --mode=root "--include=$packages" --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='chroot "$1" dpkg --purge usrmerge libfile-find-rule-perl libnumber-compare-perl \
            libtext-glob-perl perl libperl5.36 perl-modules-5.36 >/dev/null' \
        bookworm "$base.new.tar" "${sources[@]}"
    mv "$base.new.tar" "$base"
fi

# Exactly these packages, by their hashes: `make lock` writes them.
lock=deploy/requirements/agent.txt
wheels=$cache/wheels-$(digest <"$lock").tar
if [ ! -e "$wheels" ]; then
    echo "image: wheels"
    .venv/bin/pip install -qq --disable-pip-version-check --require-hashes --no-deps --target="$work/wheels" --no-compile --only-binary=:all: \
        --python-version 3.11 --implementation cp --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
        --platform manylinux_2_28_x86_64 -r "$lock"
    find "$work/wheels" -type d -name tests -prune -exec rm -r {} +
    # A stripped numpy.libs does not load.
    find "$work/wheels" -name '*.so' -not -path '*numpy.libs*' -exec strip --strip-unneeded {} +
    "$python" -m compileall -q --invalidation-mode unchecked-hash -s "$work/wheels" -p "/$site" "$work/wheels"
    "${pack[@]}" -C "$work/wheels" --exclude=./bin --transform "s,^\.,./$site," -cf "$wheels.new" .
    mv "$wheels.new" "$wheels"
fi

# pip builds in the source tree, so it gets a copy; a change that is not committed is not in the image.
mkdir "$work/source" "$work/bin"
git archive HEAD | tar x -C "$work/source"
.venv/bin/pip install -qq --disable-pip-version-check --no-deps --no-compile --target="$work/bicap" "$work/source"
# Time-stamped bytecode would not fit: tar sets the times.
"$python" -m compileall -q --invalidation-mode unchecked-hash -s "$work/bicap" -p "/$site" "$work/bicap"
mkdir -p "$work/bin/usr/local/bin"
printf '#!/usr/bin/python3\nfrom capture.cli.main import main\n\nmain()\n' >"$work/bin/usr/local/bin/bicap"
chmod 755 "$work/bin/usr/local/bin/bicap"
"${pack[@]}" -C "$work/bicap" --exclude=./bin --transform "s,^\.,./$site," -cf "$work/bicap.tar" .
"${pack[@]}" -C "$work/bin" -rf "$work/bicap.tar" .
"$python" -m scripts.pack_image "$out" "$name" "$(git rev-parse HEAD)" "$base" "$wheels" "$work/bicap.tar"
