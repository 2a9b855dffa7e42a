"""This tier needs programs that `make test` does without: `make test-deploy` brings them and sets BICAP_DEPLOY=1."""

import os

collect_ignore_glob = [] if os.environ.get("BICAP_DEPLOY") == "1" else ["test_*.py"]
