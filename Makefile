# What the targets do, and the variables that change them, is in CONTRIBUTING.md.

GO ?= go
TOOL = $(GO) tool -modfile=tools/go.mod

# Without git, or outside of a clone, the binary names the version of its module, and no commit.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS = -s -w $(if $(VERSION),-X main.version=$(VERSION))

# -race where the toolchain can do it here: it wants a C compiler, and a machine that it was ported to.
RACE ?= $(shell $(GO) list -race errors >/dev/null 2>&1 && echo -race)
PKGS ?= ./...
TEST_TIMEOUT ?= 5m
FUZZTIME ?= 60s
BENCH ?= .
BENCHFLAGS ?=

.PHONY: build run test test-long lint fuzz bench bench-go

build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(if $(VERSION),auto,false) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/dhow

run: build
	./scripts/run.sh

# A program with -race waits for a second when it ends, unless it is told otherwise.
test:
	GORACE=atexit_sleep_ms=50 $(GO) test $(RACE) -shuffle=on -timeout=$(TEST_TIMEOUT) $(PKGS)

# These measure time and memory, which -race would change, and so would another package at the same time.
test-long:
	DHOW_TEST_LONG=1 $(GO) test -count=1 -p=1 -shuffle=on -timeout=2h $(PKGS)

lint:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted:" $$files; exit 1; }
	$(GO) vet $(PKGS)
	$(TOOL) golangci-lint run $(PKGS)
	CGO_ENABLED=0 GOOS=darwin $(GO) build -buildvcs=false $(PKGS)
	CGO_ENABLED=0 GOOS=windows $(GO) build -buildvcs=false $(PKGS)
	GO='$(GO)' ./scripts/vulncheck.sh $(PKGS)

fuzz:
	GO='$(GO)' FUZZTIME='$(FUZZTIME)' ./scripts/fuzz.sh $(PKGS)

# Against other tools, on real registries: docs/benchmarks.md.
bench: build
	cd bench && CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o bin/ ./cmd/bench
	cd bench && exec ./bin/bench -go '$(GO)' $(BENCHFLAGS)

bench-go:
	$(GO) test -run='^$$' -bench='$(BENCH)' -benchmem $(PKGS)
