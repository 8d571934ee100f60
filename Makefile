# Everything there is to do here. Each target first installs what is missing (tools/prepare).
.PHONY: demo build test lint bench bench-edge docs clean

# rustup's programs, also in a shell that has not heard of them yet.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

# Where cargo builds, also for those who build everything in one place.
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)

DEMO := examples/minimal

demo: build ## build, and run the example in the foreground until Ctrl-C
	tools/demo

build: ## the release build of the program and of the example
	tools/prepare
	cargo build --locked --release -p mainstay -p minimal
	install -D $(CARGO_TARGET_DIR)/release/minimal $(DEMO)/bin/minimal

test: ## every test
	tools/prepare
	cargo test --locked --workspace --no-fail-fast

lint: ## format, lints, licences, sources
	tools/prepare lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo deny --locked check licenses bans sources

bench: build ## measures, and writes docs/benchmarks.md
	cargo xtask bench

bench-edge: build ## measures the edge beside nginx and HAProxy, and writes docs/benchmarks-edge.md
	tools/prepare bench-edge
	PATH="$$PATH:/usr/sbin" cargo xtask bench-edge

docs: ## writes the generated documentation again
	cargo xtask docs

clean: ## what was built, and the state of the example
	cargo clean
	rm -rf $(DEMO)/bin $(DEMO)/.mainstay
