#!/usr/bin/env bash
# image.sh TARGET NAME:TAG OUT.tar: an image of bicap without Docker. TARGET is `agent`, which has all of bicap, or
# `controller`, which has neither bcc nor numba and does not run as root: Debian's packages, the wheels of the lock, and
# this commit. Each layer is kept under a hash of what it is made of, so a change of bicap takes seconds.
# The same as deploy/Containerfile, which needs an engine. OUT.tar gets a bill of materials beside it: OUT.cdx.json.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?"give a target: agent or controller"}
name=${2:?"give NAME:TAG"}
out=$(realpath -m "${3:?"give OUT.tar"}")
cache=${BICAP_IMAGE_CACHE:-/var/cache/bicap-image}
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

site=usr/local/lib/python3.11/dist-packages
python=/usr/bin/python3 # Debian's, whose bytecode the image can use
requirements=deploy/requirements
packages=usr-is-merged,$(paste -sd, "$requirements/$target.debian")
pack=(tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@946684800)
pip=(.venv/bin/pip install -qq --disable-pip-version-check --no-compile)
digest() { sha256sum | cut -c1-16; }

sources=(/etc/apt/sources.list.d/*.sources)
base=$cache/base-$(cat "${sources[@]}" <(echo "$packages, copyright") | digest).tar
if [ ! -e "$base" ]; then
    echo "image: Debian with $packages"
    # Perl comes for usrmerge only, which is not needed with usr-is-merged.
    mmdebstrap --quiet --variant=minbase --mode=root "--include=$packages" --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook='chroot "$1" dpkg --purge usrmerge libfile-find-rule-perl libnumber-compare-perl \
            libtext-glob-perl perl libperl5.36 perl-modules-5.36 >/dev/null' \
        bookworm "$base.new.tar" "${sources[@]}"
    mv "$base.new.tar" "$base"
fi

# Exactly these packages, by their hashes: `make lock` writes them.
lock=$requirements/$target.txt
wheels=$cache/wheels-$(digest <"$lock").tar
if [ ! -e "$wheels" ]; then
    echo "image: wheels of the $target"
    "${pip[@]}" --require-hashes --no-deps --target="$work/wheels" --only-binary=:all: \
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
"${pip[@]}" --require-hashes --target="$work/build" -r "$requirements/build.txt"
PYTHONPATH=$work/build "${pip[@]}" --no-deps --no-build-isolation --target="$work/bicap" "$work/source"
# Time-stamped bytecode would not fit: tar sets the times.
"$python" -m compileall -q --invalidation-mode unchecked-hash -s "$work/bicap" -p "/$site" "$work/bicap"
mkdir -p "$work/bin/usr/local/bin" "$work/bin/usr/local/share/bicap"
printf '#!/usr/bin/python3\nfrom capture.cli.main import main\n\nmain()\n' >"$work/bin/usr/local/bin/bicap"
chmod 755 "$work/bin/usr/local/bin/bicap"
bill=$work/bin/usr/local/share/bicap/sbom.cdx.json
.venv/bin/python -m scripts.image_sbom "$target" "$base" "$wheels" "$lock" >"$bill"
cp "$bill" "${out%.tar}.cdx.json"
"${pack[@]}" -C "$work/bicap" --exclude=./bin --transform "s,^\.,./$site," -cf "$work/bicap.tar" .
"${pack[@]}" -C "$work/bin" -rf "$work/bicap.tar" .
.venv/bin/python -m scripts.pack_image "$target" "$out" "$name" "$base" "$wheels" "$work/bicap.tar"
