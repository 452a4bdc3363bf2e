# Building and running the tests; included by the Makefile.
CMOCKA := -lcmocka
TEST_SUPPORT := $(wildcard tests/support/*.c)
# Unit, property and simulation programs link cores, base and the pure parts of fastpath only.
PURE_FASTPATH := $(filter-out fastpath/main.c,$(wildcard fastpath/*.c))
UNIT_SRC := $(wildcard tests/unit/*.c tests/prop/*.c)
SIM_SRC  := $(wildcard tests/sim/*.c)
UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT_SRC))

$(B)/libtest.a: $(call obj,$(BASE_SRC) $(CORE_SRC) $(PURE_FASTPATH) $(TEST_SUPPORT) controld/options.c)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(UNIT_BIN): $(B)/%: $(B)/%.o $(B)/libtest.a
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(CMOCKA) -lcjson $(FASTPATH_LIB) -lm
$(B)/tests/sim/sim: $(call obj,$(SIM_SRC)) $(B)/libtest.a
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ -lsodium -lm
