# Two commands do everything: `make demo` and `make test`. Both install what is missing first.
BIN := .venv/bin

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

setup: ## install what is missing: Debian packages, .venv, compiled loops
	@scripts/setup.sh

demo: setup ## capture real traffic between two "pods" into demo.pcapng
	@scripts/demo.sh

test: lint ## lint, then every tier of tests
	$(BIN)/pytest tests

lint: setup ## style, types, import contract, C format
	$(BIN)/ruff check capture tests bench scripts
	$(BIN)/ruff format --check capture tests bench scripts
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $$(git ls-files 'bpf/*.[ch]')

format: setup ## rewrite Python and C in the project's format
	$(BIN)/ruff check --fix capture tests bench scripts
	$(BIN)/ruff format capture tests bench scripts
	$(BIN)/clang-format -i $$(git ls-files 'bpf/*.[ch]')

docs: setup ## regenerate docs/cli.md from --help
	$(BIN)/python scripts/gen_cli_docs.py

bench: setup ## measure beside tcpdump and dumpcap in the same run
	$(BIN)/python -m bench

.PHONY: help setup demo test lint format docs bench
