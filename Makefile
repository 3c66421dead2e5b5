# The project's commands; `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo
# nextest runs each test in its own process; plain cargo test serves where it is not installed.
TEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

.PHONY: help start build test check fmt lint clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

start: ## Build and run the server on 0.0.0.0:8000 with SQLite in ./data
	$(CARGO) run --profile quick --locked -- start

build: ## Build the fully optimised binary, target/release/timerjobs
	$(CARGO) build --release --locked

test: ## Run every test
	$(CARGO) $(TEST) --locked

check: ## What must be green before a commit: format, lints, tests
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(MAKE) --no-print-directory test

fmt: ## Format the code
	$(CARGO) fmt

lint: ## Lint the code, warnings are errors
	$(CARGO) clippy --locked --all-targets -- -D warnings

clean: ## Delete what was built
	$(CARGO) clean
