# SPDX-License-Identifier: Apache-2.0

GO ?= go
ARGS ?=
# The clang that the committed BPF objects were made with.
CLANG = clang-14

# What the tests run against: servers, clients, an independent decoder.
TEST_PACKAGES = nginx-light h2o caddy curl nghttp2-client nghttp2-server gnutls-bin \
	nodejs python3 tshark tmux openssl gcc libc6-dev libssl-dev libgnutls28-dev util-linux \
	android-libboringssl-dev libwolfssl-dev libmbedtls-dev python3-h2 libnss3-dev libnspr4-dev libnss3-tools firefox-esr \
	strace gdb libcap2-bin
CHECK_PACKAGES = clang-14 llvm-14 libbpf-dev
# For the containers that tests make.
TEST_PACKAGES += iproute2

.PHONY: build run demo test test-headers-only check bench bench-live fuzz soak screens kernels generate go-toolchain

build: go-toolchain
	CGO_ENABLED=0 $(GO) build -o h2sniff ./cmd/h2sniff

# Builds and opens the user interface: make run ARGS="-p PID".
run: build
	@if [ "$$(id -u)" = 0 ]; then exec ./h2sniff $(ARGS); else exec sudo ./h2sniff $(ARGS); fi

# The user interface on a server and a client of its own: make demo ARGS=--both.
demo: build
	@if [ "$$(id -u)" = 0 ]; then exec ./h2sniff demo $(ARGS); else exec sudo ./h2sniff demo $(ARGS); fi

# End-to-end tests attach to programs that they start: they need root.
test: go-toolchain
	.ci/packages $(TEST_PACKAGES)
	$(GO) test -count=1 -timeout 15m ./...

check: go-toolchain
	.ci/packages $(CHECK_PACKAGES)
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted; exit 1; fi
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff
	$(MAKE) generate
	@git diff --exit-code --stat -- bpf || { echo "generated files are not current: commit what 'make generate' makes"; exit 1; }
	$(GO) test -count=1 -run TestImportDirections ./cmd/h2sniff

# Objects and Go bindings from the C sources in bpf.
generate: go-toolchain
	$(GO) generate ./bpf

bench: go-toolchain
	.ci/packages $(TEST_PACKAGES)
	$(GO) test -run '^$$' -bench . -benchmem ./decode/... ./capture/recording ./tui
	$(GO) test -count=1 -timeout 30m -run '^$$' -bench 'Oracle|Go' -benchtime 1x ./cmd/h2sniff/e2e

# What capture costs live servers. Words choose servers, body sizes, connections
# and modes; a short form: make bench-live BENCHTIME=1 ROUNDS=2 CONNS=10.
BENCHTIME ?= 2
ROUNDS ?= 3
SERVERS ?= nginx h2o go grpc
SIZES ?= 1KB 16KB 1MB
CONNS ?= 1 10 100
MODES ?= bpftrace idle-tls idle headers-only-tls headers-only full
bench-live: go-toolchain
	.ci/packages $(TEST_PACKAGES) bpftrace
	BENCH_SECONDS="$(BENCHTIME)" BENCH_ROUNDS="$(ROUNDS)" BENCH_SERVERS="$(SERVERS)" BENCH_SIZES="$(SIZES)" \
		BENCH_CONNS="$(CONNS)" BENCH_MODES="$(MODES)" \
		$(GO) test -count=1 -timeout 60m -run '^$$' -bench BenchmarkLive -benchtime 1x ./cmd/h2sniff/e2e

# All servers, sizes and connections, in a quarter of an hour: the large table of
# docs/performance.md. bpftrace cannot count what Go's servers call.
.PHONY: bench-live-all
bench-live-all:
	$(MAKE) bench-live BENCHTIME=$(BENCHTIME_ALL) ROUNDS=$(ROUNDS_ALL) SERVERS=nginx
	$(MAKE) bench-live BENCHTIME=$(BENCHTIME_ALL) ROUNDS=$(ROUNDS_ALL) SERVERS=h2o MODES="bpftrace idle headers-only full"
	$(MAKE) bench-live BENCHTIME=$(BENCHTIME_ALL) ROUNDS=$(ROUNDS_ALL) SERVERS="go grpc" MODES="idle headers-only full"
BENCHTIME_ALL ?= 0.7
ROUNDS_ALL ?= 3

# The end-to-end tests with --headers-only wherever they capture, or those that
# RUN chooses.
RUN ?= .
test-headers-only: go-toolchain
	.ci/packages $(TEST_PACKAGES)
	HEADERS_ONLY=1 $(GO) test -count=1 -timeout 15m -run '$(RUN)' ./cmd/h2sniff/e2e

# How fast programs are found, and what h2sniff costs where nothing happens.
.PHONY: bench-finding
bench: bench-finding
bench-finding: go-toolchain
	.ci/packages $(TEST_PACKAGES)
	$(GO) test -count=1 -timeout 10m -run '^$$' -bench 'Discovery|Idle|Addresses' -benchtime 1x ./cmd/h2sniff/e2e

# Each fuzz target for FUZZTIME, two at a time, in all packages or in FUZZDIRS.
# What they find worth keeping stays in Go's build cache, for the next run.
FUZZTIME ?= 30s
FUZZDIRS ?= $(sort $(patsubst %/,%,$(dir $(shell grep -rl --include='*_test.go' '^func Fuzz' .))))
fuzz: go-toolchain
	@for dir in $(FUZZDIRS); do grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | sed "s|^func |./$$dir |"; done | \
		GO=$(GO) xargs -P 2 -L 1 sh -c '.ci/fuzz "$$0" "$$1" $(FUZZTIME)'

# The pictures of README and docs, from what a terminal shows of the demonstration.
screens: go-toolchain
	.ci/packages tmux
	mkdir -p docs/screens
	H2SNIFF_SCREENS=$(CURDIR)/docs/screens $(GO) test -count=1 -run '^TestScreens$$' ./cmd/h2sniff/e2e

# The long form of tests that count what is left over: 10 million frames, 100,000
# connections, 10,000 processes; 1,000 attaches; 100,000 frames/s into the user
# interface for 10 minutes.
soak: go-toolchain
	.ci/packages $(TEST_PACKAGES)
	SOAK=10m $(GO) test -count=1 -v -timeout 20m -run TestSoak ./tui
	H2SNIFF_SOAK=1 $(GO) test -count=1 -v -timeout 4h -run 'TestSoak|TestAttachAndDetachRepeatedly' ./cmd/h2sniff/e2e

# With the race detector: the packages that RACEDIRS names, all but the end-to-end
# tests if it is not set (some ten minutes). Left out are two tests that end Bubble
# Tea from outside: its cancelreader closes a descriptor that it reads from.
RACEDIRS ?= ./bpf ./capture/... ./decode/... ./tui ./cmd/h2sniff ./cmd/h2sniff/privilege
.PHONY: race
race: go-toolchain
	.ci/packages $(TEST_PACKAGES)
	$(GO) test -race -count=1 -timeout 30m -skip '^(TestRunRestoresTheTerminal|TestPanicBesideTheScreen)$$' $(RACEDIRS)

# Under the kernels of Debian suites, in emulated machines. KERNELS names some of
# them: bullseye bookworm bookworm-backports sid bookworm-arm64 sid-arm64; all if it is empty.
KERNELS ?=
kernels: go-toolchain
	.ci/packages qemu-system-x86 qemu-system-arm busybox-static nghttp2-client nghttp2-server openssl gcc libc6-dev libnss3-dev
	$(GO) vet -tags kernels ./cmd/h2sniff/kernels
	KERNELS="$(KERNELS)" $(GO) test -tags kernels -count=1 -v -timeout 60m ./cmd/h2sniff/kernels

go-toolchain:
	@command -v $(GO) >/dev/null || { echo "Go 1.26 or newer is needed: https://go.dev/doc/install"; exit 1; }
