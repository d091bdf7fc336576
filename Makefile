# Heddle's build.
#
#   make demo              the example of the README, on SQLite
#   make openresty-demo    an API and a page on nginx and two databases, until Ctrl-C
#   make test              C tests and specs, on both databases
#   make LUA=luajit test   the same for another interpreter: lua5.4 (default), lua5.3, lua5.1, luajit
#
# Everything that is built lies below build/<interpreter>/ (with SANITIZE=1 build/<interpreter>-asan/), so that
# objects of two interpreters never meet. New files join by themselves; `make rockspec` lists them in the rockspecs.

comma := ,
LUA ?= lua5.4
PREFIX ?= /usr/local
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))

ABI_lua5.4 := 5.4
ABI_lua5.3 := 5.3
ABI_lua5.1 := 5.1
ABI_luajit := 5.1
INCDIR_lua5.4 := /usr/include/lua5.4
INCDIR_lua5.3 := /usr/include/lua5.3
INCDIR_lua5.1 := /usr/include/lua5.1
INCDIR_luajit := /usr/include/luajit-2.1

LUA_ABI ?= $(ABI_$(LUA))
LUA_INCDIR ?= $(INCDIR_$(LUA))
PQ_INCDIR ?= /usr/include/postgresql
SQLITE_INCDIR ?=

ifeq ($(LUA_ABI),)
$(error LUA=$(LUA) is not known here: use lua5.4, lua5.3, lua5.1 or luajit, or give LUA_ABI and LUA_INCDIR too)
endif

INTERPRETERS := lua5.4 lua5.3 luajit lua5.1
BUILD := build/$(LUA)$(if $(SANITIZE),-asan)
RESULTS := $(BUILD)/results

CFLAGS ?= $(if $(SANITIZE),-O1,-O2) -g
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes $(if $(WERROR),-Werror)
SANITIZERS := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS) $(SANITIZERS) -fPIC -fvisibility=hidden -MMD -MP \
    -Icsrc/core -Icsrc
LINK = $(CC) -pthread $(CFLAGS) $(SANITIZERS) $(LDFLAGS)

# One short line for each file; V=1 shows the commands, -s nothing.
ifeq ($(V),)
say = @$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,printf '  %-3s %s\n' $(1) $@;)
endif
JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

# What is built of what ----------------------------------------------------------------------------------------

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

BASE := $(call objects,$(wildcard csrc/core/base/*.c))
CORE := $(call objects,$(wildcard csrc/core/*.c))
POSTGRES := $(call objects,$(wildcard csrc/drivers/postgres/*.c))
SQLITE := $(call objects,$(wildcard csrc/drivers/sqlite/*.c))
BINDING := $(call objects,$(filter-out csrc/binding/open_%,$(wildcard csrc/binding/*.c)))
OPEN := $(call objects,$(wildcard csrc/binding/open_*.c))

MODULES := $(addprefix $(BUILD)/heddle/,core.so postgres.so sqlite.so)
TESTS := $(patsubst spec/c/%.c,$(BUILD)/c/%,$(sort $(wildcard spec/c/*_test.c)))
HELPERS := $(patsubst spec/c/%.c,$(BUILD)/obj/spec/c/%.o,$(filter-out %_test.c,$(wildcard spec/c/*.c)))
SUPPORT := $(addprefix build/support/,relay keep_loaded.so slow_names.so)
LUA_FILES := $(shell find lua -name '*.lua' 2>/dev/null)

.PHONY: all demo openresty-demo test test-all test-c test-lua test-nginx test-nginx-run test-build test-run sanitize \
    bench bench-build instructions bench-openresty soak-openresty lint format deps rockspec rock install clean
.DEFAULT_GOAL := all
.SECONDARY:

all: $(MODULES) $(BUILD)/bin/heddle
	@:

# The command of this tree and interpreter, from wherever it is called.
$(BUILD)/bin/heddle: Makefile
	@mkdir -p $(@D)
	$(call say,SH)printf '%s\n' '#!/bin/sh' 'root=$$(cd "$$(dirname "$$(readlink -f "$$0")")/../../.." && pwd)' \
	    'LUA_PATH="$$root/lua/?.lua;$$root/lua/?/init.lua;$${LUA_PATH:-;}" \' \
	    'LUA_CPATH="$$root/$(BUILD)/?.so;$${LUA_CPATH:-;}" \' \
	    'exec $(LUA) "$$root/lua/heddle/cli/heddle" "$$@"' >$@ && chmod +x $@

$(BUILD)/heddle/core.so: $(BASE) $(CORE) $(BINDING)
$(BUILD)/heddle/postgres.so: $(BASE) $(POSTGRES) $(BUILD)/obj/csrc/binding/open_postgres.o
$(BUILD)/heddle/sqlite.so: $(BASE) $(SQLITE) $(BUILD)/obj/csrc/binding/open_sqlite.o
$(BUILD)/heddle/postgres.so: LIBS := -lpq
$(BUILD)/heddle/sqlite.so: LIBS := -lsqlite3

$(MODULES):
	@mkdir -p $(@D)
	$(call say,LD)$(LINK) -shared -o $@ $^ $(LIBS) -lm

# Only the binding sees lua.h, only a driver sees its database's header.
$(BINDING) $(OPEN): INCLUDES := -I$(LUA_INCDIR)
$(POSTGRES): INCLUDES := -I$(PQ_INCDIR)
$(SQLITE): INCLUDES := $(addprefix -I,$(SQLITE_INCDIR))
$(BUILD)/obj/spec/c/postgres_%.o: INCLUDES := -I$(PQ_INCDIR)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)$(COMPILE) $(INCLUDES) -c -o $@ $<

# A C test is one cmocka program; its name says which driver it is linked with.
$(BUILD)/c/postgres_%: EXTRA := -lpq
$(BUILD)/c/sqlite_%: EXTRA := -lsqlite3
$(filter $(BUILD)/c/postgres_%,$(TESTS)): $(BUILD)/postgres.a
$(filter $(BUILD)/c/sqlite_%,$(TESTS)): $(BUILD)/sqlite.a
$(BUILD)/postgres.a: $(POSTGRES)
$(BUILD)/sqlite.a: $(SQLITE)
$(BUILD)/core.a: $(BASE) $(CORE)

$(BUILD)/%.a:
	@rm -f $@
	$(call say,AR)$(AR) rcs $@ $^

$(TESTS): $(BUILD)/c/%: $(BUILD)/obj/spec/c/%.o $(HELPERS) $(BUILD)/core.a
	@mkdir -p $(@D)
	$(call say,LD)$(LINK) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(EXTRA) -lcmocka -lm

build/support/relay: spec/support/relay.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -std=c11 -D_GNU_SOURCE -O1 -g $(WARNINGS) -o $@ $<

build/support/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -std=c11 -D_GNU_SOURCE -O1 $(WARNINGS) -shared -fPIC -o $@ $<

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# Running ------------------------------------------------------------------------------------------------------

export LUA_PATH := $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;
export LUA_CPATH := $(CURDIR)/$(BUILD)/?.so;;
RUN_ENV = LUA=$(LUA) BUILD=$(BUILD) RESULTS=$(RESULTS)
SUBMAKE = $(MAKE) --no-print-directory LUA=$(LUA) SANITIZE=$(SANITIZE) WERROR=$(WERROR)

deps:
	@.ci/deps build $(LUA) test lint

demo:
	@.ci/deps build $(LUA)
	@$(SUBMAKE) $(JOBS) all
	@$(LUA) examples/multi_database/main.lua

# nginx runs LuaJIT. PORT, DB_URL, DB_SECONDARY_URL, DEMO_SECONDS: see examples/openresty/run.sh.
openresty-demo:
	@.ci/deps build luajit nginx openresty-demo
	@$(MAKE) --no-print-directory $(JOBS) LUA=luajit SANITIZE= all
	@examples/openresty/run.sh

test:
	@.ci/deps build $(LUA) luajit test nginx browser
	@spec/support/with_postgres.sh sh -e -c '$(SUBMAKE) test-run; $(SUBMAKE) test-nginx'

test-build: all $(TESTS) $(SUPPORT)

test-run:
	@$(SUBMAKE) $(JOBS) test-build
	@$(SUBMAKE) test-c
	@$(SUBMAKE) test-lua

# The specs on every interpreter, one server for all.
test-all:
	@.ci/deps build $(INTERPRETERS) test nginx browser
	@spec/support/with_postgres.sh sh -e -c '$(SUBMAKE) test-run; $(SUBMAKE) test-nginx; \
	    for lua in $(filter-out $(LUA),$(INTERPRETERS)); do $(SUBMAKE) LUA=$$lua test-lua; done'

test-c: $(TESTS)
	@spec/support/with_postgres.sh env $(RUN_ENV) spec/support/run_c.sh $(TESTS)

# SPECS=spec/pool_spec.lua runs one file, BUSTED="--filter=U3" some specs.
SPECS ?= spec
test-lua: all $(SUPPORT)
	@spec/support/with_postgres.sh env $(RUN_ENV) SANITIZE=$(SANITIZE) CC="$(CC)" \
	    spec/support/run_lua.sh $(BUSTED) $(SPECS)

# What nginx does with the LuaJIT build, whatever LUA is. SPECS and BUSTED as above.
test-nginx:
	@$(MAKE) --no-print-directory $(JOBS) LUA=luajit SANITIZE= test-nginx-run

test-nginx-run: all $(SUPPORT)
	@spec/support/with_postgres.sh env $(RUN_ENV) SPEC_RESULTS=nginx spec/support/run_lua.sh $(BUSTED) \
	    $(if $(filter spec,$(SPECS)),spec/nginx,$(SPECS))

sanitize:
	@.ci/deps build $(LUA) test
	@spec/support/with_postgres.sh $(SUBMAKE) SANITIZE=1 test-run

# bench/main.lua compares Heddle with what bench/floor/*.c does by hand; BENCH is its arguments.
BENCH_MODULES := $(patsubst %.c,$(BUILD)/bench/%.so,$(notdir $(wildcard bench/*.c bench/floor/*.c)))
bench-build: all $(BENCH_MODULES)

$(BUILD)/bench/%.so: $(BUILD)/obj/bench/%.o
	@mkdir -p $(@D)
	$(call say,LD)$(LINK) -shared -o $@ $^

$(BUILD)/bench/floor_%.so: $(BUILD)/obj/bench/floor/floor_%.o
	@mkdir -p $(@D)
	$(call say,LD)$(LINK) -shared -o $@ $^ $(LIBS) -lm

$(BUILD)/bench/floor_postgres.so $(BUILD)/bench/floor_more_postgres.so: LIBS := -lpq
$(BUILD)/bench/floor_sqlite.so $(BUILD)/bench/floor_more_sqlite.so: LIBS := -lsqlite3

$(BUILD)/obj/bench/%.o: INCLUDES := -I$(LUA_INCDIR) -I$(PQ_INCDIR)

bench:
	@.ci/deps build $(LUA) bench
	@$(SUBMAKE) $(JOBS) bench-build
	@spec/support/with_postgres.sh $(LUA) bench/main.lua $(BENCH)

# The table and how times grow, measured and drawn into docs/; BENCH is bench/growth.lua's arguments.
bench-plots:
	@.ci/deps build $(LUA) bench
	@$(SUBMAKE) $(JOBS) bench-build
	@spec/support/with_postgres.sh $(LUA) bench/main.lua --json --contender=floor,luasql,luadbi,heddle >docs/performance.json
	@spec/support/with_postgres.sh $(LUA) bench/growth.lua $(BENCH) >docs/performance-growth.csv
	@$(LUA) bench/plots.lua docs

# Instructions and allocations on SQLite beside those in bench/instructions.txt; STORE=1 writes them there.
instructions:
	@.ci/deps build $(LUA) guard
	@mkdir -p $(RESULTS)
	@$(RUN_ENV) STORE=$(STORE) bench/instructions.sh

# nginx under load: how fast, and whether anything grows.
bench-openresty soak-openresty:
	@.ci/deps build luajit bench nginx
	@$(MAKE) --no-print-directory $(JOBS) LUA=luajit SANITIZE= all
	@bench/openresty/run.sh $(if $(filter soak-%,$@),soak,main).lua $(BENCH)

lint:
	@.ci/lint

format:
	clang-format -i $$(find csrc spec bench -name '*.[ch]')

# Rock and installation ----------------------------------------------------------------------------------------

rockspec:
	@$(LUA) .ci/rockspec.lua write

rock:
	@.ci/rock

install: all
	@for file in $(LUA_FILES); do \
	    install -D -m 644 $$file $(DESTDIR)$(PREFIX)/share/lua/$(LUA_ABI)/$${file#lua/} || exit 1; done
	@for module in $(MODULES); do \
	    install -D -m 755 $$module $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI)/heddle/$${module##*/} || exit 1; done
	@install -d $(DESTDIR)$(PREFIX)/bin
	@{ echo '#!/usr/bin/env $(LUA)'; \
	    echo 'package.path = "$(PREFIX)/share/lua/$(LUA_ABI)/?.lua;$(PREFIX)/share/lua/$(LUA_ABI)/?/init.lua;" .. package.path'; \
	    echo 'package.cpath = "$(PREFIX)/lib/lua/$(LUA_ABI)/?.so;" .. package.cpath'; \
	    tail -n +2 lua/heddle/cli/heddle; } >$(DESTDIR)$(PREFIX)/bin/heddle
	@chmod 755 $(DESTDIR)$(PREFIX)/bin/heddle
	@echo "Heddle is in $(DESTDIR)$(PREFIX)/share/lua/$(LUA_ABI) and $(DESTDIR)$(PREFIX)/lib/lua/$(LUA_ABI);"
	@echo "the command is $(DESTDIR)$(PREFIX)/bin/heddle."

clean:
	rm -rf build
