# The project's commands; `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo
QUICK := target/quick/timerjobs
# nextest runs each test in its own process; plain cargo test serves where it is not installed.
TEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo nextest run || echo test)

.PHONY: help start start-bg start-daemon stop stop-all restart reload status quick build test check fmt lint clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

start: ## Build and run the server on 0.0.0.0:8000 with SQLite in ./data
	$(CARGO) run --profile quick --locked -- start

start-bg: quick ## Run in the background
	$(QUICK) start -d

start-daemon: quick ## Run in the background under a supervisor
	$(QUICK) start -d -f

stop: quick ## End the server
	$(QUICK) stop

stop-all: quick ## End the server and its supervisor
	$(QUICK) stop -f

restart: quick ## End what runs and start it again
	$(QUICK) restart

reload: quick ## Make the server read its settings again
	$(QUICK) reload

status: quick ## Say what runs
	$(QUICK) status

quick:
	@$(CARGO) build --profile quick --locked --quiet

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
