# Two commands do everything: `make demo` and `make test`. Both install what is missing first.
BIN := .venv/bin
PYTHON_CODE := $(wildcard capture testbed tests bench fuzz scripts examples)
# Where the programs of Kubernetes are kept, outside of the tree: building them takes minutes.
KUBERNETES ?= /var/cache/bicap-kubernetes
# What it starts ends with it, whatever happens.
OWN_PIDS := unshare --pid --fork --mount-proc --kill-child
C_CODE := $(shell find bpf -name '*.[ch]')
# Python keeps what it has compiled, also where the machine is set up to forget it: a suite starts a thousand processes.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages, .venv, compiled loops
	@scripts/setup.sh

demo: setup ## capture real traffic between two "pods" into demo.pcapng
	@scripts/demo.sh

test: lint ## lint, then every tier of tests
	@scripts/setup.sh tests
	$(BIN)/pytest -n auto --dist worksteal tests

test-quick: setup ## the tests of pure logic that are over at once; without root
	$(BIN)/pytest -q -n auto --dist worksteal --hypothesis-profile=quick -m "not slow" tests/unit

page: setup ## bring what the page of `bicap web` is made with, through npm
	@scripts/setup.sh page

test-web: page ## drive the page in a browser, on captures made here
	@scripts/setup.sh test-web
	$(BIN)/pytest -q tests/web

test-lake: setup ## read what bicap wrote with DuckDB, Polars, PyArrow and Spark (installs them first)
	@scripts/setup.sh lake
	BICAP_LAKE=1 $(BIN)/pytest -q tests/lake

test-store: setup ## upload into real stores (S3 by SeaweedFS and rclone, SFTP by OpenSSH), through failures
	@scripts/setup.sh test-store
	BICAP_STORE=1 $(BIN)/pytest -q tests/store

test-doors: setup ## the controller's HTTP servers against generated requests and 10,000 connections
	@scripts/setup.sh test-doors
	BICAP_DOORS=1 $(BIN)/pytest -q tests/doors

web-pictures: page ## take the pictures of docs/web.md
	@scripts/setup.sh test-web
	$(BIN)/python -m scripts.web_pictures
	$(BIN)/python -m tests.web.situation_pictures

wireshark-pictures: setup ## take the pictures of docs/wireshark.md, of Wireshark itself
	@scripts/setup.sh test-wireshark
	$(BIN)/python -m scripts.wireshark_pictures

test-wireshark: setup ## drive tshark, dumpcap and Wireshark itself, on a display of its own, with bicap among their interfaces
	@scripts/setup.sh test-wireshark
	BICAP_WIRESHARK=1 $(BIN)/pytest -q tests/wireshark

test-kernels: setup ## boot other kernels, and run every program and live captures on them (KERNEL=6.1 for one)
	@scripts/setup.sh kernels
	$(BIN)/python -m tests.kernels $(KERNEL)

test-bcc: setup ## run with the bcc and LLVM of other Debian suites (SUITE=bullseye for one)
	@scripts/setup.sh suites
	$(BIN)/python -m tests.bcc $(SUITE)

test-arm64: setup ## run the tests of pure logic on an emulated arm64 machine
	@scripts/setup.sh arm64
	tests/arm64.sh

test-cluster: image ## run the services on a real Kubernetes of two nodes; the first time builds it, which takes minutes
	@scripts/setup.sh cluster
	testbed/kubernetes/build.sh $(KUBERNETES)
	BICAP_CLUSTER=1 BICAP_KUBERNETES=$(KUBERNETES) $(OWN_PIDS) $(BIN)/pytest tests/control_plane tests/cluster

test-deploy: setup ## render the chart with Helm, run alert rules and queries in Prometheus (installs both first)
	@scripts/setup.sh deploy
	BICAP_DEPLOY=1 $(BIN)/pytest -q tests/deploy

lock: setup ## write deploy/requirements: the exact packages of the images, with their hashes
	$(BIN)/python -m scripts.lock_image

image: setup ## make the images of the services, bicap-image.tar and bicap-controller-image.tar, without a container engine
	@scripts/setup.sh image
	scripts/image.sh agent localhost/bicap:dev bicap-image.tar
	scripts/image.sh controller localhost/bicap-controller:dev bicap-controller-image.tar

demo-cluster: image ## a real Kubernetes of two nodes, bicap on it, and a capture of both ends into demo-cluster/
	@scripts/setup.sh cluster
	testbed/kubernetes/build.sh $(KUBERNETES)
	BICAP_KUBERNETES=$(KUBERNETES) $(OWN_PIDS) $(BIN)/python -m scripts.demo_cluster . demo-cluster

explore: setup ## search for disagreements with fresh seeds for EXPLORE_SECONDS (3600)
	@scripts/setup.sh tests
	$(BIN)/python -m tests.explore

lint: setup page ## style, types (of the page, too), import contract, C format
	$(BIN)/ruff check $(PYTHON_CODE)
	$(BIN)/ruff format --check $(PYTHON_CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $(C_CODE)
	node_modules/.bin/tsc

format: setup ## rewrite Python and C in the project's format
	$(BIN)/ruff check --fix $(PYTHON_CODE)
	$(BIN)/ruff format $(PYTHON_CODE)
	$(BIN)/clang-format -i $(C_CODE)

docs: setup ## regenerate docs/cli.md, docs/lake-tables.md, the fields in docs/packetcapture.md, CRDs and chart
	$(BIN)/python scripts/gen_cli_docs.py
	$(BIN)/python scripts/gen_crd.py
	$(BIN)/python scripts/gen_helm.py
	$(BIN)/python scripts/gen_lake_docs.py

proto: setup ## compile capture/pods/*.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. capture/pods/*.proto

bench: setup ## measure beside other capture tools in the same run
	@scripts/setup.sh bench
	rm -f bench/out/*.jsonl
	$(BIN)/python -m bench
	$(BIN)/python -m bench.lossless
	$(BIN)/python -m bench.application
	$(BIN)/python -m bench.model
	$(BIN)/python -m bench.matching
	$(BIN)/python -m bench.sampling
	$(BIN)/python -m bench.many_cpus
	$(BIN)/python -m bench.many_captures
	$(BIN)/python -m bench.recorder_cost
	$(BIN)/python -m bench.guard

fuzz: setup ## feed damaged capture files to the readers for FUZZ_SECONDS (3600)
	@scripts/setup.sh fuzz
	PYTHONPATH=. NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/fuzz/compiled $(BIN)/python fuzz/read_files.py

.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' Makefile)
