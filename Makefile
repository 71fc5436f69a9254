# The commands of this project. "make help" lists them.

GO      ?= go
PREFIX  ?= /usr/local
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

PROGRAMS := $(patsubst %/main.go,./%,$(wildcard cmd/*/main.go))
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# All packages but the ones that boot guests.
PACKAGES = $$($(GO) list ./... | grep -v '/e2e$$')

# Tools are pinned here and not in go.mod: they are no part of what we build.
# golangci-lint runs staticcheck too.
TOOLS         := $(CURDIR)/.cache/tools
GOLANGCI      := v2.15.0
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI)
SHELL_SCRIPTS := .ci/run scripts/guest.d/init $(shell grep -lE '^\#!.*(bash|/sh)' scripts/* 2>/dev/null)

FUZZTIME ?= 3s

.PHONY: all build remote run demo test check unit race e2e fuzz bench lint tools gen install clean help \
	lint-gofmt lint-vet lint-darwin lint-golangci lint-shell

all: build ## the static binaries, in bin/

build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/ $(PROGRAMS)

remote: ## vnetctl and vswitch for other hosts, in bin/linux-ARCH, where vnetctl --push finds them
	@for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/linux-$$arch/ ./cmd/vswitch ./cmd/vnetctl || exit 1; \
	done

run: build ## a switch in the foreground on the default directory
	bin/vswitch

demo: ## two QEMU guests talking through a switch
	scripts/demo

test: ## everything: lint, unit, race, namespaces, guests, short fuzzing
	scripts/run-tests

check: test

unit: ## tests without guests
	$(GO) test $(PACKAGES)

race: ## tests without guests, with the race detector
	$(GO) test -race $(PACKAGES)

e2e: ## tests with QEMU guests
	scripts/deps test
	scripts/guest
	$(GO) test -count=1 -v ./cmd/vswitch/e2e

fuzz: ## each fuzz target for FUZZTIME
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(GO) build -o "$$dir/testsum" ./scripts/testsum && \
		"$$dir/testsum" "$$dir/events" fuzz $(FUZZTIME) && "$$dir/testsum" "$$dir/events" summary

bench: build ## the switch against its peers, on this machine
	scripts/deps bench
	$(GO) run ./scripts/bench

lint: lint-gofmt lint-vet lint-darwin lint-golangci lint-shell ## all static checks

lint-gofmt:
	@files=$$(gofmt -l cmd mgmt remote scripts switch tap) && [ -z "$$files" ] || { echo "not formatted (gofmt -w):"; echo "$$files"; exit 1; }

lint-vet:
	$(GO) vet ./...

# The data path is Linux only; everything must still build and vet elsewhere.
lint-darwin:
	GOOS=darwin CGO_ENABLED=0 $(GO) vet ./...

lint-golangci: $(GOLANGCI_LINT)
	$(GOLANGCI_LINT) run ./...

lint-shell:
	shellcheck $(SHELL_SCRIPTS)

tools: $(GOLANGCI_LINT)

# Built through the module proxy, which checks the sums. Takes a minute or two, once.
$(GOLANGCI_LINT):
	@echo "building golangci-lint $(GOLANGCI)"
	@mkdir -p $(TOOLS)/tmp
	@GOBIN=$(TOOLS)/tmp GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI) 2>$(TOOLS)/log || { cat $(TOOLS)/log; exit 1; }
	@mv $(TOOLS)/tmp/golangci-lint $@

gen: ## generated files
	$(GO) generate ./...

install: build ## all files of scripts/host-setup, under $(DESTDIR)$(PREFIX); VDE_COMPAT=1: vde_switch too
	scripts/host-setup --destdir "$(DESTDIR)/" --prefix "$(PREFIX)"
ifeq ($(VDE_COMPAT),1)
	@p=$(DESTDIR)$(PREFIX)/bin/vde_switch; [ -L $$p ] || [ ! -e $$p ] || { echo "$$p is there and not ours: not replaced"; exit 1; }
	ln -sfn vswitch $(DESTDIR)$(PREFIX)/bin/vde_switch
endif

clean: ## remove what was built, also the guests and tools in .cache
	rm -rf bin .cache

help:
	@sed -n 's/^\([a-z0-9]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk '{ t = $$1; sub(/:$$/, "", t); $$1 = ""; printf "  make %-9s%s\n", t, $$0 }'
