"""Debian's own source of Kubernetes -> a real cluster of two nodes on one machine, for tests and for the demo.

    with Cluster(folder) as cluster:
        cluster.kubectl("apply", "-f", "capture.yaml")

`build.sh` makes the programs, once. `ControlPlane` is what answers for objects, without nodes: etcd, kube-apiserver
and controller-manager in the namespaces of the caller. `Cluster` has a scheduler besides, and two nodes with a
network and a mount namespace each: containerd, kubelet, kube-proxy, pods behind veths, and VXLAN between the nodes.
Whoever starts it should have namespaces of its own (network, mounts, pids): all that is left of a cluster then ends
with them. Nothing here knows bicap, but the names of its images.
"""
