#!/usr/bin/env bash
# enter.sh ROOT WORK_TREE PYTHON_PACKAGES OLDER_BCC COMMAND... - runs COMMAND in a root file system, in namespaces of its
# own: mounts, interfaces and processes end with it. The machine's kernel is the one that programs are loaded into.
# The work tree is read-only there, as /bicap. OLDER_BCC ("" for none) is a bcc that goes before the one of ROOT.
set -euo pipefail
if [ "${ENTERED:-}" != yes ]; then
    ENTERED=yes exec unshare --mount --net --pid --fork --kill-child "$0" "$@"
fi
root=$1 tree=$2 packages=$3 older=$4
shift 4
mkdir -p "$root/bicap" "$root/packages" "$root/older"
mount --bind "$root" "$root" # `ip netns exec` asks for a root that is a mount
cd "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mount --bind "$tree" "$root/bicap"
mount -o remount,bind,ro "$root/bicap"
mount --bind "$packages" "$root/packages"
[ -z "$older" ] || mount --bind "$older" "$root/older"
ip link set lo up
exec env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 LD_LIBRARY_PATH=/older \
    PYTHONPATH=/older:/bicap:/packages PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/packages/.compiled \
    BICAP_REQUIRE_KERNEL=1 chroot "$root" "$@"
