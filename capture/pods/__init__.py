"""The container runtime's socket -> the pods of this node, and word of every change."""

import os

# gRPC's own log goes to standard error, among our lines; what matters comes as an error.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
