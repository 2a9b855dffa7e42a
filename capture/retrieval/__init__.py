"""What nodes have caught -> whoever has the right to it: files by range, and live.

    user ─ secret ─▶ users' door ─▶ hub ◀─ orders and answers ─▶ agents' door ◀─ TLS ─ agent, which dials out
             │       127.0.0.1, HTTP                                pod's address, HTTP
             └ its SHA-256 in a CaptureAccess ─▶ access book: which capture, until when
    program ─ token ─▶ robots' door ─▶ hub          pod's address, HTTPS; TokenReview: who, SubjectAccessReview: may

The doors are servers in the leading controller; nothing listens on a node. An answer of an agent is passed on as it
comes: no file is kept here, and a user who reads slowly slows down the agent's sending, nothing else.

`orders.py`, `listed_files.py`, `live_frames.py` and `leader_address.py` are known to both sides. `access_book.py`,
`byte_ranges.py`, `agent_tokens.py` and `robot_tokens.py` decide, without any I/O of their own. How an agent
answers is in `agent`; the user's side is in no room of the services. May import `cluster` and what is below it; like
that, it needs neither bcc nor numba.
"""
