#!/usr/bin/env bash
# build.sh FOLDER: builds Kubernetes from Debian's source package into FOLDER/bin, once: 5 to 12 minutes on two CPUs.
# Debian 12 packages only the client, but its source package has all of Kubernetes with everything it imports, and its
# Go builds it. 1.20 is old on purpose: what works there does not depend on anything newer.
set -euo pipefail
folder=${1:?"give a folder"}
version='1.20.5+really1.20.2-1.1+deb12u1'
programs=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet)

built() { for program in "${programs[@]}"; do [ -x "$folder/bin/$program" ] || return 1; done; }
! built || exit 0
work=$folder/work
rm -rf "$work"
mkdir -p "$folder/bin" "$work"/{sources,lists/partial,cache/archives/partial}
cd "$work"
echo "build: Kubernetes $version, into $folder/bin; this takes minutes, once"

# The machine's own sources with deb-src, in lists of our own: those in /etc/apt and /var/lib/apt stay as they are.
for file in /etc/apt/sources.list.d/*.sources; do
    [ ! -e "$file" ] || sed 's/^Types: deb$/Types: deb deb-src/' "$file" >"sources/${file##*/}"
done
[ ! -s /etc/apt/sources.list ] || sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >sources/src.list
own=(-qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources" -o "Dir::State::lists=$work/lists"
    -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
apt-get "${own[@]}" update
apt-get "${own[@]}" --download-only source "kubernetes=$version"
apt-get "${own[@]}" download golang-github-modern-go-reflect2-dev

export GOPATH=$work/gopath GOCACHE=$work/gocache CGO_ENABLED=0 GO111MODULE=off GOFLAGS='' PATH=/usr/lib/go-1.19/bin:$PATH
name=k8s.io/kubernetes
source=$GOPATH/src/$name
mkdir -p "$source"
tar xzf kubernetes_*.orig.tar.gz -C "$source" --strip-components=1
# The reflect2 that it brings crashes when built with Go 1.18 or later; Debian's does not.
dpkg -x golang-github-modern-go-reflect2-dev_*.deb reflect2
rm -r "$source/vendor/github.com/modern-go/reflect2"
cp -r reflect2/usr/share/gocode/src/github.com/modern-go/reflect2 "$source/vendor/github.com/modern-go/"
cd "$source"

# The one generated file that the package does not have.
go build -o "$work/openapi-gen" "$name/vendor/k8s.io/kube-openapi/cmd/openapi-gen"
inputs=$(grep -rlE '^ *// *\+k8s:openapi-gen=' --include='*.go' pkg cmd plugin staging/src/k8s.io |
    grep -vE 'code-generator|sample-apiserver|_test.go|zz_gen|openapi_gen' | xargs -n1 dirname |
    sed 's#^staging/src/#vendor/#' | sort -u | sed "s#^#$name/#" | paste -sd,)
"$work/openapi-gen" --logtostderr -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -O zz_generated.openapi \
    -p "$name/pkg/generated/openapi" -i "$inputs" -r "$work/violations" --output-base "$GOPATH/src"

flags='-s -w'
for package in k8s.io/component-base/version "$name/vendor/k8s.io/component-base/version" \
    "$name/vendor/k8s.io/client-go/pkg/version"; do
    flags+=" -X $package.gitVersion=v1.20.2 -X $package.gitMajor=1 -X $package.gitMinor=20"
done
for program in "${programs[@]}"; do
    [ ! -x "$folder/bin/$program" ] || continue # from a build that was ended
    go build -trimpath -ldflags "$flags" -o "$work/$program" "$name/cmd/$program"
    mv "$work/$program" "$folder/bin/"
    echo "build: $program"
done
chmod -R u+w "$work"
rm -rf "$work"
