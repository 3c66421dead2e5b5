# The project's commands; `make help` lists them. What needs more than a few lines stands in scripts/
# and deploy/.
SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
QUICK := $(TARGET)/quick/timerjobs
# What `make bench` runs: for example ARGS="--only func,herd --runs 1".
ARGS ?=
# make release PROFILE=quick packs the quick build.
PROFILE ?= release
PREFIX ?= /usr/local
# nextest runs each test in its own process; plain cargo test serves where it is not installed.
TEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo nextest run || echo test)
# Coverage reads what rustc wrote with tools of the same LLVM; Debian's packages are called llvm-<number>.
LLVM := $(shell rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
LLVM_BIN := /usr/lib/llvm-$(LLVM)/bin
COVERAGE := $(if $(wildcard $(LLVM_BIN)/llvm-cov),LLVM_COV=$(LLVM_BIN)/llvm-cov LLVM_PROFDATA=$(LLVM_BIN)/llvm-profdata) $(CARGO) llvm-cov
COVERAGE_MIN := 80
# The lines of test files are no lines that need tests.
COVERED := --ignore-filename-regex '(_test|tests)\.rs$$|/tests/'

.DEFAULT_GOAL := help
.PHONY: help env-check install install-dev install-bin build quick console clean \
	start start-bg start-daemon stop stop-all restart reload status dev \
	fmt format lint type-check quality check \
	openapi bench proof services web-tools test test-web test-unit test-api test-models test-core test-all test-coverage test-html test-full coverage-run \
	security-scan init-db migrate migrate-create backup-db \
	docker release install-service uninstall-service

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

## Setting up

env-check: quick ## Check whether a server can work here: folders, port, database, clock, tools
	$(QUICK) doctor

install: ## Check the toolchain and fetch every crate (it installs no program; see install-bin, install-service)
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: install gcc or clang (SQLite is built from C)"; exit 1; }
	@rustc --version
	$(CARGO) fetch --locked

install-dev: install ## Install what tests and reports use, where it is missing: nextest, llvm-cov, deny, Debian's LLVM
	@scripts/install-dev.sh "$(CARGO)" "$(LLVM)"

install-bin: ## Copy the release build to PREFIX/bin (PREFIX=/usr/local, DESTDIR for packagers)
	@test -x $(TARGET)/release/timerjobs || { echo "there is no release build yet: make build"; exit 1; }
	install -D -m 0755 $(TARGET)/release/timerjobs "$(DESTDIR)$(PREFIX)/bin/timerjobs"

build: ## Build the fully optimised binary, target/release/timerjobs, with the console inside
	@scripts/console.sh --optional
	$(CARGO) build --release --locked

console: ## Build the console, web/dist (Node 20.19 or newer); the next build of the server takes it in
	@scripts/console.sh

quick:
	@scripts/console.sh --optional
	@$(CARGO) build --profile quick --locked --quiet

clean: ## Delete what was built: server, console, coverage report, dist
	$(CARGO) clean
	rm -rf coverage dist web/dist

## Running

start: ## Build and run the server on 0.0.0.0:8000 with SQLite in ./data; the console is at /
	@scripts/console.sh --optional
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

status: quick ## Say what runs; fails when nothing does (3) or it is not well (4)
	$(QUICK) status

dev: ## Run the server, build and start it again whenever a source changes
	@scripts/dev.sh "$(CARGO)" "$(TARGET)"

## Quality

fmt: ## Format the code
	$(CARGO) fmt

format: fmt ## The same as fmt

lint: ## Lint the code, warnings are errors
	$(CARGO) clippy --locked --all-targets -- -D warnings

type-check: ## Check types only, the fastest look
	$(CARGO) check --locked --all-targets

quality: ## Format check, lints, and a report of crates that come in two versions
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) tree --locked --duplicates --depth 0

check: ## What must be green before a commit: format, lints, tests
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(MAKE) --no-print-directory test

security-scan: ## Licences, sources, bans and known holes of every crate; OFFLINE=1 leaves the holes out
	@scripts/security-scan.sh "$(CARGO)"

## Tests

test: ## Run every test, on SQLite and on the database servers that answer
	@scripts/test.sh "$(CARGO)" "$(TEST)"

openapi: ## Write web/openapi.json anew, after a change of the API
	@WRITE_OPENAPI=1 $(CARGO) $(TEST) --locked --test it -- the_committed_document_is_the_servers

bench: ## Measure the release build from outside, beside its peers, and write docs/BENCHMARKS.md (30 minutes; ARGS)
	@scripts/console.sh --optional
	$(CARGO) build --release --locked
	$(CARGO) bench --locked --bench system -- $(ARGS)

proof: ## Try to break the release build's promises, and write docs/PROOF.md (40 minutes; ARGS="kills clock")
	@scripts/console.sh --optional
	$(CARGO) build --release --locked
	$(CARGO) bench --locked --bench fuzz --no-run
	@scripts/proof-tools.sh
	python3 -B -m proof $(ARGS)

services: ## Start (and install) the database servers that the tests use
	@scripts/services.sh

web-tools: ## Install what test-web needs: Node, Chromium, a font with Chinese
	@scripts/web-tools.sh

test-web: ## Tests of the console: its modules, then the whole of it in Chromium against the built server
	@scripts/console.sh
	@scripts/test-web.sh "$(CARGO)" "$(TARGET)"

test-all: test ## The same as test

test-unit: ## Tests inside the modules
	$(CARGO) $(TEST) --locked --lib

test-api: ## Tests that speak HTTP
	$(CARGO) $(TEST) --locked --test it -- api::

test-models: ## Tests of the rules and the database
	$(CARGO) $(TEST) --locked --lib -- domain:: store::

test-core: ## Tests of the engine and of what does a run's work
	$(CARGO) $(TEST) --locked --lib --test it -- engine:: exec::

test-coverage: coverage-run ## Tests with coverage; fails under 80 % of the lines
	$(COVERAGE) report $(COVERED) --fail-under-lines $(COVERAGE_MIN)

test-html: coverage-run ## The coverage as pages, coverage/html/index.html
	$(COVERAGE) report $(COVERED) --html --output-dir coverage
	@echo "coverage/html/index.html"

test-full: quality test-all test-coverage ## Quality, every test, coverage

coverage-run:
	@$(CARGO) llvm-cov --version >/dev/null 2>&1 || { echo "cargo-llvm-cov is missing: make install-dev"; exit 1; }
	$(COVERAGE) $(if $(findstring nextest,$(TEST)),nextest) --locked --no-report

## Database

init-db: quick ## Make the database and its tables
	$(QUICK) db init

migrate: quick ## Bring the tables to this version (an SQLite file is backed up first); a start does it too
	$(QUICK) migrate

migrate-create: ## Make an empty migration with the next number for every database: NAME=add_owner
	@scripts/migrate-create.sh "$(NAME)"

backup-db: quick ## Write a checked copy of the database to BACKUP_DIR (./backups)
	$(QUICK) db backup

## Shipping

docker: ## Build the container image timerjobs:<version>
	@docker info >/dev/null 2>&1 || { echo "no Docker engine answers; start it, or install one"; exit 1; }
	docker build -f deploy/Dockerfile -t timerjobs:$$(scripts/version.sh) -t timerjobs:latest .

release: ## Pack dist/timerjobs-<version>-<os>-<arch>.tar.gz and its checksum
	@scripts/console.sh --optional
	$(CARGO) build --profile $(PROFILE) --locked
	@scripts/release.sh "$(TARGET)/$(PROFILE)/timerjobs"

install-service: ## Install as a systemd service (as root, after make build; DESTDIR only lays the files out)
	@BINARY="$(or $(BINARY),$(TARGET)/release/timerjobs)" DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" deploy/install-service.sh

uninstall-service: ## Remove the service, keep settings and data (PURGE=1 deletes them)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" PURGE="$(PURGE)" deploy/uninstall-service.sh
