"""This tier needs a program that `make test` does without: `make test-doors` brings it and sets BICAP_DOORS=1."""

import os

collect_ignore_glob = [] if os.environ.get("BICAP_DOORS") == "1" else ["test_*.py"]
