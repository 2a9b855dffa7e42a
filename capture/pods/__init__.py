"""The container runtime's socket -> the pods of this node, and an event for every change."""

import os

# gRPC's log would appear among our lines on standard error; errors reach us as exceptions.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
