# Everything a user or a developer runs. `make` alone lists the targets.
#
# Variables: LIBTORCH=/path (another libtorch), CXX=clang++ (another compiler),
# TIMEOUT=60m (of one package's tests), RUN=regexp (only these tests).

# What is installed where it is missing, and only then. libtorch of Debian comes
# with a reference BLAS that is many times slower than OpenBLAS, and without the
# headers by which several processes train together.
APT_PACKAGES := ca-certificates git g++ libc6-dev make libtorch-dev libopenblas0-openmp libgloo-dev

GO      ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TIMEOUT ?= 30m
RUN     ?= .

# -buildvcs=false: the version is in VERSION, and a checkout that another user
# owns would stop the go command.
BUILD := $(GO) build -buildvcs=false -ldflags '-X main.version=$(VERSION)'
# The fit runs before there is a workspace, and without any C compiler.
FIT   := env GOWORK=off CGO_ENABLED=0 $(GO) run -buildvcs=false ./runner/internal/fit
NOCGO := env GOWORK=off CGO_ENABLED=0

export LIBTORCH
.DEFAULT_GOAL := help
.PHONY: help setup libtorch build nocgo cloud test race lint demo soak bench gpu-check check-slurm check-debian12 check-debian13 clean

help: ## list the targets
	@echo 'glmkit $(VERSION). On a fresh machine: make demo, or make test.'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## install the system packages that are missing (apt, through sudo where needed)
	@FIND='$(FIT) -find' GO='$(GO)' scripts/setup.sh $(APT_PACKAGES)

libtorch: setup ## find libtorch and fit gotch to it (LIBTORCH=/path for another one)
	@$(FIT)

build: libtorch ## build ./glmkit
	@if [ "$$($(GO) list -f '{{.Stale}}' github.com/sugarme/gotch/libtch)" = true ]; then \
		echo 'compiling the bindings of libtorch, once: two to four minutes without a word'; fi
	$(BUILD) -o glmkit ./cmd/glmkit

nocgo: ## build a glmkit without libtorch (prepare and report only), and test it
	$(NOCGO) $(BUILD) -o .build/glmkit-nocgo ./cmd/glmkit
	$(NOCGO) $(GO) test -timeout $(TIMEOUT) -run '$(RUN)' ./...

cloud: ## build a glmkit without libtorch that reads and writes s3, gs and azblob URLs, and test it
	$(NOCGO) $(BUILD) -tags cloud -o .build/glmkit-cloud ./cmd/glmkit
	$(NOCGO) $(GO) vet -tags cloud ./corpus/remote ./cmd/glmkit
	$(NOCGO) $(GO) test -tags cloud -timeout $(TIMEOUT) -run '$(RUN)' ./corpus/remote
	$(NOCGO) $(GO) test -tags cloud -timeout $(TIMEOUT) -run Object ./cmd/glmkit

test: build cloud ## set up, fit, build, and run every test
	$(GO) vet ./...
	$(NOCGO) $(GO) vet ./...
	$(GO) test -timeout $(TIMEOUT) -run '$(RUN)' ./...
	$(NOCGO) $(GO) test -timeout $(TIMEOUT) -run '$(RUN)' ./cmd/... ./runner/...

# The packages below runner: those that touch libtorch would be compiled anew.
race: setup ## run the tests of the packages without libtorch under the race detector
	GOWORK=off CGO_ENABLED=1 $(GO) test -race -timeout $(TIMEOUT) -run '$(RUN)' ./spans/... ./metrics/... ./configs/... ./corpus/... ./tasks/... ./reports/... ./experiments/...

lint: ## check the module's own rules: imports, names, comments, format
	$(NOCGO) $(GO) test -run Lint ./cmd/glmkit

demo: build ## pretrain, finetune and compare a small GLM and BERT on a made-up world
	./glmkit run demo --jobs $(shell getconf _NPROCESSORS_ONLN)
	./glmkit report demo/results --published none

soak: build ## train 20,000 steps and watch the memory; kill training at every write of a run
	GLMKIT_SOAK=1 $(GO) test -count 1 -timeout $(TIMEOUT) -v -run 'TestMemoryDoesNotGrow|TestTrainFromEveryState|TestTrainSurvivesKills' ./runner ./cmd/glmkit

bench: build ## measure glmkit beside its peers
	bench/run.sh

gpu-check: build ## check glmkit beside PyTorch on a GPU; without one reduced, on the CPU
	GO='$(GO)' bench/gpu/run.sh

check-slurm: build ## prepare a corpus as arrays of a real Slurm, with tasks killed on the way, and train by two ranks of srun; as root
	GO='$(GO)' scripts/check-slurm.sh

check-debian12: ## make test (and make demo, with DEMO=1) in an empty Debian 12; as root
	scripts/debian-root.sh bookworm 'make test$(if $(DEMO), && make demo)'

check-debian13: ## fit, build and test the runner in an empty Debian 13 with libtorch 2.6; as root
	scripts/debian-root.sh trixie 'make build && go test -timeout $(TIMEOUT) ./runner/... ./cmd/...'

clean: ## remove what make has built
	rm -rf .build glmkit demo go.work go.work.sum runner/internal/*/libtorch_flags.go
