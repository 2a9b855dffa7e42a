"""`kubectl bicap`: a user's words at a desk -> objects of a cluster, and what was caught -> a file here.

    words ─▶ spec ─▶ kubectl create ─▶ PacketCapture ─▶ status ─▶ lines for people
    secret ─▶ CaptureAccess; Lease ─▶ leader ◀─ kubectl port-forward ─ ranges ─▶ files ─▶ one file in order of time
                                              ◀─────────────────────── frames ─▶ live stream in order of time

Whatever talks with the API server is kubectl itself, so context, credentials and every auth plugin are kubectl's.
`target_words.py`, `chosen_pods.py`, `progress_lines.py`, `live_order.py` and `cluster_plan.py` decide without I/O;
`verb_*.py` are the verbs.

May import `cli` for the options of a capture, `cluster` for the objects, and what is below. It must work where bcc,
numba, numpy and grpc are not installed. What a server does with a request is in `retrieval`.
"""
