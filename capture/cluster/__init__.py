"""Captures as objects of a Kubernetes cluster: what the objects are, and the controller that runs them.

    PacketCapture ─▶ controller ─▶ NodeCapture, one for each node that has such pods ─▶ agent ─▶ files on the node
          status ◀── controller ◀── status ◀──────────────────────────────────────────── agent

The controller writes the status of captures and the specs of NodeCaptures; an agent writes the status of its own
NodeCaptures only. So each part of an object has one writer, and any of them may be killed at any moment: all that
they know is in the objects, and all that they do follows from comparing those.

`objects.py`, `kube.py`, `validations.py` and `crds.py` say what the objects are; `admission.py`,
`pods_by_node.py`, `capture_status.py` and `decision.py` decide, without any I/O; `api.py`, `informer.py` and
`lease.py` talk with the API server; `controller.py` runs all of it, over the `view.py` of what is known.

The room may import `request` and what is below it. It must not need bcc, numba, numpy or grpc, which the controller's
image does not have. What a node does with a NodeCapture is in `agent`.
"""
