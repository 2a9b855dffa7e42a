"""The services on a real cluster of two nodes (testbed/kubernetes): `make test-cluster`.

What users do is done with kubectl; what was captured is compared with tcpdump at the same interfaces.
"""
