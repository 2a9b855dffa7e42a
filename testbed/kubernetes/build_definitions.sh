#!/usr/bin/env bash
# build_definitions.sh FOLDER: builds FOLDER/bin/apiextensions-apiserver, once: a minute or two. It is what an API server has for
# custom objects, in a program of its own, as a Go module; 1.25 is the first version that runs the rules of a definition.
# Debian's Go can build it.
set -euo pipefail
folder=${1:?"give a folder"}
version=v0.25.16
program=$folder/bin/apiextensions-apiserver
[ ! -x "$program" ] || exit 0
echo "build: apiextensions-apiserver $version, into $folder/bin"
mkdir -p "$folder/bin"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export GOPATH=$work/gopath GOCACHE=$work/gocache GOBIN=$work CGO_ENABLED=0 GO111MODULE=on GOFLAGS='' PATH=/usr/lib/go-1.19/bin:$PATH
go install -trimpath -ldflags='-s -w' "k8s.io/apiextensions-apiserver@$version"
mv "$work/apiextensions-apiserver" "$program"
