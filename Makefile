# Each target installs the tools that it needs (tests/setup/need). Installed tools stay unchanged.
.DEFAULT_GOAL := help
.PHONY: help demo test bench bench-page lint fuzz campaign dist
SHELL := /bin/sh

GOFLAME_SETUP ?= $(HOME)/.cache/goflame-setup
export GOFLAME_SETUP
export PATH := $(GOFLAME_SETUP)/bin:$(PATH):$(HOME)/.cargo/bin

need   := tests/setup/need
target := $(or $(CARGO_TARGET_DIR),target)

FUZZ_SECONDS ?= 30

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-15s %s\n", $$1, $$2 }'

slowcli  := examples/slowcli
pictures := docs/pictures

demo: ## build goflame, profile examples/hotspots, and draw the pictures of README.md
	@$(need) rust gcc go perf cargo-flamegraph chromium
	cargo build --release --locked
	$(target)/release/goflame run -C examples/hotspots
	$(target)/release/goflame run -C $(slowcli) -F 67 -f svg
	$(target)/release/goflame report -C $(slowcli) -o $(CURDIR)/$(pictures)/slowcli.svg
	flamegraph --freq 67 --output $(target)/cargo-flamegraph.svg -- $(slowcli)/.goflame/build/release/slowcli
	rm perf.data
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=3000 --window-size=1200,280 \
		--screenshot=$(pictures)/slowcli-cargo-flamegraph.png file://$(abspath $(target))/cargo-flamegraph.svg

test: ## run every test, against the real Go, perf, C compiler and Docker engine
	@$(need) rust gcc go git npm perf docker dpkg-deb shellcheck chromium wrk
	tests/setup/check-go
	cd tests/report && npm ci --silent && npx tsc -p .
	cargo test --locked --no-run
	tests/setup/engine run cargo test --locked --no-fail-fast
	GOFLAME=$(abspath $(target))/debug/goflame node --test tests/report/report.test.mjs tests/report/timeline.test.mjs tests/report/formats.test.mjs tests/report/index.test.mjs tests/report/diff.test.mjs

bench: ## measure speed and overhead
	@$(need) rust gcc go perf
	cargo bench --locked

bench-page: ## measure report.html with a large profile, and other pages of the same profile
	@$(need) rust gcc npm chromium
	cargo build --release --locked
	cd tests/report && npm ci --silent
	node benches/page/bench.mjs

lint: ## check formatting, lints of Rust, Go and shell, crates and documents
	@$(need) rust gcc go shellcheck
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	cargo check --manifest-path tests/fuzz/Cargo.toml
	cargo test --locked --test dependencies --test docs
	tests/setup/check-go
	shellcheck .ci/run tests/setup/* tests/campaigns/* templates/*.sh packaging/dist

dist: ## make the static binary, .deb, tarball and container image
	@$(need) rust gcc git musl dpkg-deb
	packaging/dist

campaign: ## run the attacks of the tests hundreds of times, and profile public Go modules
	@$(need) rust gcc go
	cargo build --locked
	tests/campaigns/two-configurations $(target)/debug/goflame
	tests/campaigns/kills $(target)/debug/goflame
	tests/campaigns/killed-runs $(target)/debug/goflame
	tests/campaigns/shrink
	cargo build --release --locked
	tests/campaigns/foreign-modules $(target)/release/goflame

fuzz: ## feed damaged input to the readers, FUZZ_SECONDS for each reader
	@$(need) rust g++ cargo-fuzz
	@set -e; \
	readers=$$(cargo +nightly fuzz list --fuzz-dir tests/fuzz); \
	for reader in $$readers; do \
		cargo +nightly fuzz run --fuzz-dir tests/fuzz "$$reader" -- -max_total_time=$(FUZZ_SECONDS); \
	done
