# One page, one file, no recursion. Objects under build/<variant>/. `make help` prints the targets.
VARIANT ?= $(if $(SAN),san-$(subst $(comma),-,$(SAN)),release)$(if $(filter-out gcc cc,$(CC)),-$(CC))
comma   := ,
B       := build/$(VARIANT)
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

PREFIX     ?= /usr/local
LIBEXECDIR ?= $(PREFIX)/libexec/mycelium
MANDIR     ?= $(PREFIX)/share/man
DESTDIR    ?=
VERSION    := $(shell cat VERSION)
BUILD      := $(VERSION)$(shell git rev-parse --short=8 HEAD 2>/dev/null | sed 's/^/-/')

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wcast-qual \
           -Wwrite-strings -Wpointer-arith -Wformat=2 -Wundef -Wimplicit-fallthrough
OPT     := $(if $(SAN),-O1 -g -fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer,-O2 -g -D_FORTIFY_SOURCE=2)
HARDEN  := -fstack-protector-strong -fPIE
CFLAGS  ?=
ALLCFLAGS = -std=gnu17 -D_GNU_SOURCE -iquote . $(WARN) $(OPT) $(HARDEN) -DLIBEXECDIR='"$(LIBEXECDIR)"' \
           -DVERSION='"$(VERSION)"' -pthread -MMD -MP $(CFLAGS)
ALLLDFLAGS = $(if $(SAN),-fsanitize=$(SAN)) -pie -Wl,-z,relro,-z,now -pthread $(LDFLAGS)

BASE_SRC     := $(wildcard shared/base/*.c)
CORE_SRC     := $(wildcard controld/babel/*.c) $(wildcard controld/message/*.c) $(wildcard controld/session/*.c) $(wildcard controld/node*.c) $(wildcard controld/post*.c) $(wildcard controld/keyring*.c)
CONTROLD_SRC := $(BASE_SRC) $(CORE_SRC) $(filter-out $(CORE_SRC),$(wildcard controld/*.c)) \
                $(wildcard controld/links/*.c controld/kernel/*.c controld/cli/*.c) \
                $(wildcard controld/store/*.c controld/api/*.c)
FASTPATH_SRC := $(BASE_SRC) $(wildcard fastpath/*.c)
obj           = $(patsubst %.c,$(B)/obj/%.o,$(1))
CONTROLD_LIB := -lm -lwebsockets -lcjson -lsqlite3 -luv -lmnl -lcap-ng -lsodium
FASTPATH_LIB := -lIPSec_MB -lseccomp -lcap-ng -lsodium

.PHONY: all
all: $(B)/controld $(B)/fastpath ## build both programs (SAN=address,undefined or SAN=thread: another tree)

$(B)/controld: $(call obj,$(CONTROLD_SRC))
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(CONTROLD_LIB)
$(B)/fastpath: $(call obj,$(FASTPATH_SRC))
	@echo "  LD    $@"
	$(Q)$(CC) $(ALLLDFLAGS) -o $@ $^ $(FASTPATH_LIB)

$(B)/obj/%.o: %.c | $(B)/build.h
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALLCFLAGS) -include $(B)/build.h -c -o $@ $<
$(B)/obj/controld/api/page.o: $(wildcard controld/api/page/*)
# The build's name in a file of its own, written only when it changes.
$(B)/build.h: FORCE
	@mkdir -p $(@D)
	@echo '#define BUILD "$(BUILD)"' | cmp -s - $@ || echo '#define BUILD "$(BUILD)"' > $@
FORCE:

include tests/tests.mk

.PHONY: install
install: all ## install into DESTDIR/PREFIX
	install -D -m 755 $(B)/controld $(DESTDIR)$(PREFIX)/sbin/controld
	ln -sf controld $(DESTDIR)$(PREFIX)/sbin/mycelium
	install -D -m 755 $(B)/fastpath $(DESTDIR)$(LIBEXECDIR)/fastpath
	install -D -m 644 packaging/mycelium.8 $(DESTDIR)$(MANDIR)/man8/mycelium.8
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@PREFIX@|$(PREFIX)|' packaging/mycelium.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/mycelium.service

.PHONY: clean
clean: ## remove everything built
	rm -rf build

.PHONY: help
help: ## print this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | sort | expand -t 12

-include $(shell find build -name '*.d' 2>/dev/null)
