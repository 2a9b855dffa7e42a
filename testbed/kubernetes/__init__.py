"""Debian's own source of Kubernetes -> a real cluster of two nodes on one machine, for tests and for the demo.

    with Cluster(folder) as cluster:
        cluster.kubectl("apply", "-f", "capture.yaml")

`build.sh` makes the programs, once. The cluster is etcd, kube-apiserver, controller-manager and scheduler in the
namespaces of the caller, and two nodes with a network and a mount namespace each: containerd, kubelet, kube-proxy,
pods behind veths, and VXLAN between the nodes. Whoever starts it should have namespaces of its own (network, mounts,
pids): all that is left of a cluster then ends with them. Nothing here knows bicap.
"""
