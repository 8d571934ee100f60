# Everything there is to do here. Each target first installs what is missing (tools/prepare).
.PHONY: demo build test lint screenshots bench bench-edge docs clean

# rustup's programs, also in a shell that has not heard of them yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# Where cargo builds, also for those who build everything in one place.
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

DEMO := examples/directory

demo: build ## build, and run the Company Directory in the foreground until Ctrl-C
	tools/demo

build: ## the release build of the program and of the Company Directory
	tools/prepare
	cargo build --locked --release -p mainstay -p directory
	install -D $(CARGO_TARGET_DIR)/release/directory $(DEMO)/bin/directory

test: ## every test
	tools/prepare test
	cargo test --locked --workspace --no-fail-fast

lint: ## format, lints, licences, sources
	tools/prepare lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo deny --locked check licenses bans sources

screenshots: ## the pictures of docs/, taken by the test that looks at the page
	tools/prepare test
	SCREENSHOTS=$(CURDIR)/docs/screenshots cargo test --locked -p mainstay --test directory in_a_browser

bench: build ## measures, and writes docs/benchmarks.md
	cargo xtask bench

bench-edge: build ## measures the edge beside nginx and HAProxy, and writes docs/benchmarks-edge.md
	tools/prepare bench-edge
	PATH="$$PATH:/usr/sbin" cargo xtask bench-edge

docs: ## writes the generated documentation again
	cargo xtask docs

clean: ## what was built, and the state of the Company Directory
	cargo clean
	rm -rf $(DEMO)/bin $(DEMO)/.mainstay
	[ "$$(id -u)" != 0 ] || rm -rf /var/tmp/mainstay-demo # where tools/demo runs it from a private clone of root's
