# The menu. `make` alone prints it.
PRESET ?= release
JOBS ?= $(shell nproc)
SECONDS_PER_FUZZER ?= 20
MAKEFLAGS += --no-print-directory

BUILD_DIR := build/$(PRESET)
# The release binary lies at build/garrison, the others at build/PRESET/garrison.
BINARY := $(if $(filter release,$(PRESET)),build/garrison,$(BUILD_DIR)/garrison)

.PHONY: help build demo test check format asan tsan fuzz-smoke bench bench-cache bench-diff bench-ledger bench-load bench-peers clean guard-eval

help:
	@echo 'make demo         install packages, build, run the main job on the built-in model'
	@echo 'make test         install packages, build, run every test'
	@echo 'make build        build/garrison; PRESET=dev|asan|tsan for build/PRESET/garrison'
	@echo 'make check        formatting, static analysis, module layers'
	@echo 'make asan, tsan   the tests under AddressSanitizer+UBSan, ThreadSanitizer'
	@echo 'make fuzz-smoke   every fuzzer for $(SECONDS_PER_FUZZER) seconds'
	@echo 'make bench        time the built-in model, the guard and the service'
	@echo 'make bench-cache  hits and imports of the vector cache [DATABASE=postgres://..]'
	@echo 'make bench-ledger what the budget adds to a paid call [DATABASE=postgres://..]'
	@echo 'make bench-diff   time this tree beside BASE=revision [MODEL=DIR CELLS=1x16,.. DTYPE=int8]'
	@echo 'make bench-peers  time it beside ONNX Runtime and others on MODELS=DIR: docs/performance.md'
	@echo 'make bench-load   the service under load, with MODEL=DIR [SOAK=seconds]: docs/load.md'
	@echo 'make guard-eval   the guard on public sets DATA=DIR [MODEL=DIR GUARD=guard.json]: docs/guard-evaluation.md'
	@echo 'make format       rewrite the sources with clang-format'
	@echo 'make clean        remove build/'

build:
	@scripts/bootstrap build
	@cmake --preset $(PRESET) > /dev/null
	@cmake --build $(BUILD_DIR) --target garrison -j $(JOBS)

demo: build
	@scripts/demo $(BINARY)

test:
	@scripts/bootstrap build test
	@cmake --preset $(PRESET) -DGARRISON_TESTS=ON > /dev/null
	@cmake --build $(BUILD_DIR) -j $(JOBS)
	@ctest --test-dir $(BUILD_DIR) --output-on-failure -j $(JOBS)

asan tsan:
	@$(MAKE) test PRESET=$@

check:
	@scripts/bootstrap build test check
	@git ls-files -co --exclude-standard '*.cc' '*.h' | xargs clang-format-19 --dry-run -Werror
	@tools/check_layers.py
	@cmake --preset dev -DGARRISON_TESTS=ON > /dev/null
	@git ls-files -co --exclude-standard 'src/*.cc' | xargs -P $(JOBS) -n 4 clang-tidy-19 --quiet -p build/dev

format:
	@scripts/bootstrap check
	@git ls-files -co --exclude-standard '*.cc' '*.h' | xargs clang-format-19 -i

fuzz-smoke:
	@scripts/bootstrap build fuzz
	@cmake --preset fuzz > /dev/null
	@cmake --build build/fuzz --target fuzzers -j $(JOBS)
	@scripts/fuzz-smoke build/fuzz $(SECONDS_PER_FUZZER)

bench: build
	@$(BINARY) bench
	@bench/http_latency.py $(BINARY)

bench-cache:
	@cmake --preset $(PRESET) -DGARRISON_TESTS=ON > /dev/null
	@cmake --build $(BUILD_DIR) --target garrison_cache_bench -j $(JOBS)
	@$(BUILD_DIR)/bench/cache/garrison_cache_bench $(DATABASE)

bench-ledger:
	@cmake --preset $(PRESET) -DGARRISON_TESTS=ON > /dev/null
	@cmake --build $(BUILD_DIR) --target garrison_ledger_bench garrison garrison_load -j $(JOBS)
	@cd $(BUILD_DIR) && bench/ledger/garrison_ledger_bench $(DATABASE)
	@bench/ledger/paid_load.py $(BINARY) $(BUILD_DIR)/bench/load/garrison_load

bench-diff: build
	@bench/diff.py $(or $(BASE),$(error BASE=rev is missing)) $(BINARY) $(if $(MODEL),--model $(MODEL)) \
	  $(if $(CELLS),--cells $(CELLS)) $(if $(DTYPE),--dtype $(DTYPE))

bench-peers: build
	@cd bench/peers && node run.mjs --garrison ../../$(BINARY) --write ../../docs/performance.md \
	  --models $(abspath $(or $(MODELS),$(error MODELS=DIR is missing)))

bench-load: build
	@cmake --preset $(PRESET) -DGARRISON_TESTS=ON > /dev/null
	@cmake --build $(BUILD_DIR) --target garrison_load -j $(JOBS)
	@bench/load/run.py $(BINARY) $(BUILD_DIR)/bench/load/garrison_load --write docs/load.md \
	  --model $(abspath $(or $(MODEL),$(error MODEL=DIR is missing))) $(if $(wildcard bench/peers/node_modules),--peer) \
	  $(if $(SOAK),--soak $(SOAK))

guard-eval: build
	@scripts/bootstrap eval
	@tools/guard_data.py $(or $(DATA),$(error DATA=DIR is missing: tools/guard_data.py names the sets)) build/guard-eval/rows > /dev/null
	@bench/guard/evaluate.py $(BINARY) --rows build/guard-eval/rows --write docs/guard-evaluation.md \
	  --results build/guard-eval/$(or $(notdir $(MODEL)),builtin).json $(if $(MODEL),--model $(abspath $(MODEL))) \
	  $(if $(GUARD),--guard $(GUARD))

clean:
	rm -rf build
