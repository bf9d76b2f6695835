#!/bin/sh
# Runs a command where a real podman works, with an image to run and nothing of the machine's own containers in sight:
#
#   scripts/containers/with-podman.sh npx vitest run --project e2e test/e2e/containers.test.ts
#
# Needs root, podman, and a statically linked busybox (apt-get install podman busybox-static). No registry is asked: the
# image is made of busybox. Storage is a directory that is deleted at the end; limits are those that the caller may set.
set -eu

if [ "${SHOAL_IN_MOUNT_NAMESPACE:-}" = "" ]; then
  SHOAL_IN_MOUNT_NAMESPACE=1 exec unshare --mount "$0" "$@"
fi

# crun refuses machines that have both versions of control groups.
if grep -q ' cgroup2 ' /proc/mounts && grep -q ' cgroup .*memory' /proc/mounts; then
  umount /sys/fs/cgroup/unified
fi

scratch=$(mktemp -d "${TMPDIR:-/tmp}/shoal-podman-XXXXXX")
trap 'podman rm --all --force --time=0 >/dev/null 2>&1 || true; rm -rf "$scratch"' EXIT

cat > "$scratch/containers.conf" <<CONF
[containers]
default_ulimits=["nofile=1024:1024","nproc=4096:4096"]
CONF
cat > "$scratch/storage.conf" <<CONF
[storage]
driver="vfs"
graphroot="$scratch/storage"
runroot="$scratch/run"
CONF
export CONTAINERS_CONF="$scratch/containers.conf" CONTAINERS_STORAGE_CONF="$scratch/storage.conf"

mkdir -p "$scratch/image/bin" "$scratch/image/tmp" "$scratch/image/etc" "$scratch/image/proc"
cp "$(command -v busybox)" "$scratch/image/bin/busybox"
for applet in sh ls cat echo sleep id env pwd mount ps kill test true; do
  ln -s busybox "$scratch/image/bin/$applet"
done
tar -C "$scratch/image" -c . | podman import --quiet - localhost/shoal-test:1 >/dev/null

SHOAL_TEST_IMAGE=localhost/shoal-test:1 "$@"
