# Building and running the tests; included by the Makefile.
# Three archives: what is pure or belongs to fastpath, what belongs to controld, and the helpers of the tests.
TEST_SUPPORT  := $(filter-out tests/support/nonce_audit.c,$(wildcard tests/support/*.c))
LIB_FASTPATH  := $(filter-out fastpath/main.c,$(wildcard fastpath/*.c))
LIB_CONTROLD  := $(filter-out controld/main.c,$(CONTROLD_SRC))
UNIT_SRC      := $(wildcard tests/unit/*.c tests/prop/*.c)
SIM_SRC       := $(wildcard tests/sim/*.c)
FUZZ_SRC      := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC     := $(filter-out tests/bench/ref.c tests/bench/load.c tests/bench/blast.c tests/bench/apiload.c,$(wildcard tests/bench/*.c))
THREADS_SRC   := $(wildcard tests/unit/test_rings_threads.c tests/unit/test_worker.c tests/unit/test_worker_links.c tests/unit/test_worker_host.c tests/unit/test_worker_user.c tests/unit/test_control_user.c tests/unit/test_store.c tests/unit/test_store_full.c tests/unit/test_store_kill.c tests/unit/test_control.c tests/unit/test_control_life.c tests/unit/test_control_sessions.c tests/unit/test_control_report.c tests/unit/test_store_peers.c tests/prop/prop_table.c tests/prop/prop_replay.c tests/unit/test_skey_threads.c tests/unit/test_worker_session.c tests/unit/test_worker_session_send.c tests/unit/test_worker_quote.c)
TEST_LIB      := -lcmocka $(CONTROLD_LIB) $(FASTPATH_LIB) -lm
# Programs that need the adapters link controld's archive; the others must not.
WITH_CONTROLD := test_loop test_peers test_accept test_discover test_rtnl test_tun test_fastpaths test_fastpaths_adopt test_rundir test_identity test_target test_daemon test_nlparse test_peers_log fuzz_discover fuzz_rtnl test_admin test_metrics test_json test_json_place test_letter test_letter_writer test_messages test_messages_send fuzz_json fuzz_letter test_store test_store_full test_store_corrupt test_store_kill test_statedir test_ws test_ws_messages test_ws_sends test_ws_socket fuzz_ws test_cli_message test_cli_admin test_cli_http test_cli_text fuzz_http_client test_guard test_http test_http_parts test_http_body test_http_life test_http_upgrade test_server fuzz_http test_network_key test_admin_sessions test_cli_sessions test_admin_keyring test_uevent fuzz_uevent test_store_peers test_store_old test_store_more

$(B)/libpure.a: $(call obj,$(BASE_SRC) $(CORE_SRC) $(LIB_FASTPATH) $(wildcard controld/options*.c))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(B)/libcontrold.a: $(call obj,$(LIB_CONTROLD))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(B)/libsupport.a: $(call obj,$(TEST_SUPPORT))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
archives = $(B)/libsupport.a $(if $(filter $(WITH_CONTROLD),$(notdir $(1))),$(B)/libcontrold.a,$(B)/libpure.a)

TEST_BIN := $(patsubst %.c,$(B)/%,$(UNIT_SRC) $(BENCH_SRC))
.SECONDEXPANSION:
$(filter-out $(B)/tests/prop/prop_nonce,$(TEST_BIN)): $(B)/%: $(B)/obj/%.o $$(call archives,$$*)
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(TEST_LIB)
# What writes down every range of nonces before it is used: of fastpath, the two files that take them.
AUDIT_SRC := fastpath/skey.c fastpath/encap.c tests/support/nonce_audit.c
AUDIT_OBJ := $(patsubst %.c,$(B)/obj/audit/%.o,$(AUDIT_SRC))
$(AUDIT_OBJ): $(B)/obj/audit/%.o: %.c | $(B)/build.h
	@mkdir -p $(@D)
	@echo "  CC    $< (audit)"
	$(Q)$(CC) $(ALLCFLAGS) -DNONCE_AUDIT -include $(B)/build.h -c -o $@ $<
$(B)/tests/prop/prop_nonce: $(B)/obj/tests/prop/prop_nonce.o $(AUDIT_OBJ) $(B)/libsupport.a $(B)/libpure.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(TEST_LIB)
$(B)/fastpath-audit: $(AUDIT_OBJ) $(call obj,$(filter-out $(AUDIT_SRC),$(FASTPATH_SRC)))
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(FASTPATH_LIB)
# Keys are renewed every two seconds: only the session core differs.
REKEY_SRC := $(wildcard controld/session/*.c)
REKEY_OBJ := $(patsubst %.c,$(B)/obj/rekey/%.o,$(REKEY_SRC))
REKEY_DIVISOR ?= 60
$(REKEY_OBJ): $(B)/obj/rekey/%.o: %.c | $(B)/build.h
	@mkdir -p $(@D)
	@echo "  CC    $< (rekey)"
	$(Q)$(CC) $(ALLCFLAGS) -DSESSION_REKEY_DIVISOR=$(REKEY_DIVISOR) -include $(B)/build.h -c -o $@ $<
$(B)/controld-rekey: $(REKEY_OBJ) $(call obj,$(filter-out $(REKEY_SRC),$(CONTROLD_SRC)))
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(CONTROLD_LIB)
$(B)/nonces: $(call obj,tests/net/nonces.c tests/support/nonce_check.c fastpath/stream.c)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^
$(B)/tests/sim/sim: $(call obj,$(SIM_SRC)) $(B)/libpure.a
	@mkdir -p $(@D)
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(FASTPATH_LIB) -lm
.PHONY: tests-bin threads-bin
tests-bin: $(TEST_BIN) $(B)/tests/sim/sim $(B)/controld-rekey $(B)/fastpath-audit $(B)/nonces
threads-bin: $(patsubst %.c,$(B)/%,$(THREADS_SRC))

# Fuzzing: libFuzzer and sanitizers in a tree of their own, by clang.
FB := build/fuzz
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(FB)/%,$(FUZZ_SRC))
FUZZ_SECONDS ?= 5
fobj = $(patsubst %.c,$(FB)/%.o,$(1))
$(FB)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)clang-14 -std=gnu17 -D_GNU_SOURCE -iquote . -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
		-DVERSION='"$(VERSION)"' -DBUILD='"fuzz"' -DLIBEXECDIR='"$(LIBEXECDIR)"' -DFUZZING -MMD -MP -c -o $@ $<
$(FB)/controld/api/page.o: $(wildcard controld/api/page/*)
$(FB)/libpure.a: $(call fobj,$(BASE_SRC) $(CORE_SRC) $(LIB_FASTPATH) $(wildcard controld/options*.c) $(TEST_SUPPORT))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(FB)/libcontrold.a: $(call fobj,$(LIB_CONTROLD) $(TEST_SUPPORT))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(FUZZ_BIN): $(FB)/%: $(FB)/tests/fuzz/%.o $$(if $$(filter $(WITH_CONTROLD),$$*),$(FB)/libcontrold.a,$(FB)/libpure.a)
	@echo "  FUZZ  $@"
	$(Q)clang-14 -fsanitize=fuzzer,address,undefined -pthread -o $@ $^ $(CONTROLD_LIB) $(FASTPATH_LIB) -lm
.PHONY: fuzz-bin fuzz-short fuzz
fuzz-bin: $(FUZZ_BIN)
fuzz-short: fuzz-bin
	$(Q)FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh
fuzz: fuzz-bin ## fuzz each target for FUZZ_SECONDS (default 60)
	$(Q)FUZZ_SECONDS=$(or $(filter-out 5,$(FUZZ_SECONDS)),60) tests/fuzz/run.sh

.PHONY: lint fmt $(addprefix lint-,layers functions headers format tidy shell tables spec)
lint: $(addprefix lint-,layers functions headers format tidy shell tables spec) ## layers, sizes, headers, format, clang-tidy, shellcheck, specifications
OUR_C = $(shell find * -path build -prune -o -name '*.[ch]' -print | grep -v -e '^tests/bench/ref.c' -e '^tests/bench/load.c')
lint-layers lint-functions lint-headers lint-tables lint-spec: lint-%:
	$(Q)tests/lint/$*.sh
lint-format:
	$(Q)clang-format-14 --dry-run -Werror $(OUR_C)
# So far the analyzer goes into a function; soak looks three times as far.
TIDY_NODES ?= 75000
lint-tidy: $(B)/build.h
	$(Q)printf '%s\n' $(CONTROLD_SRC) $(FASTPATH_SRC) | sort -u | xargs -P 2 -I @ clang-tidy-14 --quiet @ -- -std=gnu17 -D_GNU_SOURCE -iquote . \
		-include $(B)/build.h -DVERSION='"$(VERSION)"' -DLIBEXECDIR='"$(LIBEXECDIR)"' \
		-Xclang -analyzer-config -Xclang max-nodes=$(TIDY_NODES) 2>/dev/null
lint-shell:
	$(Q)shellcheck -x $$(find * -path build -prune -o -name '*.sh' -print) tests/run .ci/run
fmt: ## format all C files
	$(Q)clang-format-14 -i $(OUR_C)

.PHONY: test demo soak bench deps-test deps-demo
.PHONY: mutants
mutants: deps-test ## inverts each check of sessions in a build of its own: some test must turn red
	$(Q)/usr/bin/python3 tests/mutants/run.py
deps-test deps-demo: deps-%:
	$(Q)packaging/deps.sh $*
test: deps-test ## everything that must hold (root; installs what it needs with apt)
	$(Q)tests/run
demo: deps-demo ## three nodes in network namespaces, shown at work (root; installs what it needs with apt)
	$(Q)$(MAKE) -s -j$$(nproc) all
	$(Q)tests/demo.sh
soak: deps-test ## the long forms: hours of fuzzing, simulation, restarts
	$(Q)$(MAKE) -s all tests-bin fuzz-bin
	$(Q)tests/soak.sh
bench: deps-test ## one JSON line per figure, median of three runs, beside the yardstick in the same run
	$(Q)$(MAKE) -s all tests-bin
	$(Q)tests/bench/bench.sh
