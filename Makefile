# neon_redo: the extension by PGXS, the library and the program by meson, and what drives them.
#
#   make            neon.so and build/, the library, the program and the programs of the tests
#   make PG_CONFIGS="…"   besides, build/neon/MAJOR/neon.so for the server of each pg_config
#   make demo       the main job on a throw-away cluster        (installs missing Debian packages)
#   make check      unit tests, and each command once: less than a minute, once it is built
#   make lint       clang-format, and clang-tidy on what has changed; LINT=all: on all
#   make test       every test                                  (installs missing Debian packages)
#   make test-ci    every test, and make lint: what .ci/run does
#   make test-hostile, make fuzz   the long forms of what make test has short
#   make test-receive-long   neon-redo receive: 200 deaths of each kind instead of 10
#   make test-restore-long   neon-redo restore: twenty random targets, 200 kills, a chain of fifty backups
#   make test-damage   neon-redo verify: 2,000 random injections, 48 random workloads
#   make test-follow-long   neon-redo verify --follow: half an hour of mixed loads
#   make test-memory   verify in 512 MB, with 20 GB of WAL (35 GB of disk)
#   make test-index    100,000 pages of each version by an index, of the regression suite, too; 100 kills
#   make test-manager-long   redo manager: under ThreadSanitizer, and 100,000 requests among chaos
#   make test-regression   PostgreSQL's regression suite through verify, of each server (fetches its source)
#   make test-experimental   PostgreSQL 19 before its release: the oracle, by workers (fetches it)
#   make test-debian13   make demo and make test in a minimal Debian 13 (needs root)
#   make fuzz-schemas      the native engine on random schemas, for SECONDS
#   make servers    fetches servers of the other major versions for make test; SERVERS=DIR: to there
#   make bench      the benchmarks
#   make install    extension into the server of PG_CONFIG, the rest below PREFIX (/usr/local)
#   make installcheck   pg_regress against a running server that has the extension installed
#   make format, make clean, make deps

PG_CONFIG ?= pg_config
PREFIX ?= /usr/local
export PG_CONFIG

# The module is built for one server, that of PG_CONFIG, into the current directory: neon.so and
# neon_redo_stubs. Objects are kept apart by major version. `make -C DIRECTORY -f …/Makefile` builds it
# into another directory, and nothing else (PGXS calls that VPATH); PG_CONFIGS does so for each server.
TREE := $(abspath $(dir $(firstword $(MAKEFILE_LIST))))/
IN_TREE := $(filter $(CURDIR)/,$(TREE))
major_of_server = $(shell $(PG_CONFIG) --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
MAJOR := $(major_of_server)
# The names are absolute, so that they mean the same in each of these directories.
OBJECTS := $(CURDIR)/$(if $(IN_TREE),build/neon/$(MAJOR)/)objects/

# Servers of the other major versions, for the tests: those of this system, else fetched ones from
# Debian's other suites. What root fetches is where the user postgres can read it. The version is asked
# for when it is needed: `deps` may have installed the server by then.
SERVERS ?= $(if $(filter 0,$(shell id -u)),/var/cache,$(or $(XDG_CACHE_HOME),$(HOME)/.cache))/neon_redo/servers
OTHER_MAJORS = $(filter-out $(major_of_server),15 17 18)
SYSTEM_SERVERS = /usr/lib/postgresql
# Of a major version: the pg_config of the system's server with its headers; nothing if there is none.
system_config = $(shell bindir='$(SYSTEM_SERVERS)/$(1)/bin'; [ ! -x "$$bindir/postgres" ] || \
  [ ! -e "$$($$bindir/pg_config --includedir-server)/postgres.h" ] || echo "$$bindir/pg_config")
fetched_config = $(if $(wildcard $(SERVERS)/$(1)/.fetched),$(SERVERS)/$(1)/usr/lib/postgresql/$(1)/bin/pg_config)
# with-servers is a make of its own, after `servers`: PG_CONFIGS are theirs, unless it names others.
ifneq ($(filter with-servers,$(MAKECMDGOALS)),)
PG_CONFIGS ?= $(foreach major,$(OTHER_MAJORS),$(or $(call system_config,$(major)),$(call fetched_config,$(major))))
endif

EXTENSION = neon_redo
VERSION_TEXT := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(TREE)neon_redo.control)
DATA = $(patsubst $(TREE)%,%,$(wildcard $(TREE)sql/neon_redo--*.sql))
REGRESS = info_test upgrade_test walsender_shape_test walsender_null_test walsender_permission_test

MODULE_big = neon
OBJS = $(patsubst $(TREE)%.cpp,$(OBJECTS)%.o,$(wildcard $(addprefix $(TREE)src/,*.cpp worker/*.cpp monitoring/*.cpp))) \
  $(addprefix $(OBJECTS)cpp_core/,base/crc32c.o wal/record.o)
SYSTEM_CALLS = $(if $(IN_TREE),,$(OBJECTS))src/worker/system_calls.inc
PG_CPPFLAGS = -MMD -MP -I$(OBJECTS) -I$(TREE) -I$(TREE)cpp_core/include -DNEON_REDO_VERSION='"$(VERSION_TEXT)"'
PG_CXXFLAGS = -std=c++20 -fno-exceptions -fno-rtti -fvisibility=hidden -Wall -Wextra -Werror
# The C driver links: the module must not need libstdc++ (tests/integration/test_extension.py).
SHLIB_LINK = -lseccomp
EXTRA_CLEAN = $(OBJECTS) $(BUILT_FOR) $(STUBS) $(SYSTEM_CALLS) $(if $(IN_TREE),build build-asan build-fuzz build-tsan)

# Stand-ins for the server's libraries that a redo worker never uses. They lie beside neon.so.
STUBS = neon_redo_stubs

# The bindir and the version of the server that neon.so and the stubs in this directory were built for.
# The objects, and in the tree the program, have the same file of their own. Each is written when it
# changes, so that what was built for another server is built again.
BUILT_FOR = $(if $(IN_TREE),build/neon/)built_for

# Without PostgreSQL's build files only the targets that do not need them work; deps installs them.
# PGXS has a target `check` of its own, so a make for that one does without PGXS.
ifeq ($(filter check,$(MAKECMDGOALS)),)
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
endif
ifneq ($(PGXS),)
override with_llvm = no
include $(PGXS)
# Only sources are looked for beside this file: what was built there is another server's.
VPATH =
vpath %.control $(TREE)
vpath %.sql $(TREE)
# Our warnings are not for the server's headers.
override CPPFLAGS := $(subst -I$(includedir_server),-isystem $(includedir_server),$(CPPFLAGS))
# The server may have been built by a later compiler than the one here, which knows more flags.
LATER_FLAGS = -fexcess-precision=standard -Wmissing-variable-declarations
override CFLAGS := $(filter-out $(LATER_FLAGS),$(CFLAGS))
override CXXFLAGS := $(filter-out $(LATER_FLAGS),$(CXXFLAGS))

$(OBJECTS)%.o: $(TREE)%.cpp $(TREE)Makefile $(TREE)neon_redo.control $(OBJECTS)built_for
	@$(MKDIR_P) $(@D)
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -c -o $@ $<
$(OBJECTS)src/neon.o: override CPPFLAGS += -DNEON_REDO_SERVER_BINDIR='"$(bindir)"'
$(OBJECTS)src/worker/violation.o: $(SYSTEM_CALLS)
$(SYSTEM_CALLS): $(TREE)src/worker/make_system_calls.sh
	@$(MKDIR_P) $(@D)
	CC='$(CC)' $< $@
-include $(OBJS:.o=.d)

neon$(DLSUFFIX): $(BUILT_FOR)
modules: | neon$(DLSUFFIX)  # one of them may use the same objects

all: $(STUBS)/for_postgres
install: install-stubs
uninstall: uninstall-stubs
ifneq ($(IN_TREE),)
all: program
install: install-program
uninstall: uninstall-program
endif

$(STUBS)/for_postgres: $(bindir)/postgres $(TREE)src/worker/stubs/make_stubs.sh $(BUILT_FOR)
	CC='$(CC)' $(TREE)src/worker/stubs/make_stubs.sh $< $(STUBS)

install-stubs: $(STUBS)/for_postgres
	rm -rf '$(DESTDIR)$(pkglibdir)/$(STUBS)'
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)/$(STUBS)'
	cp -P $(STUBS)/* '$(DESTDIR)$(pkglibdir)/$(STUBS)'

uninstall-stubs:
	rm -rf '$(DESTDIR)$(pkglibdir)/$(STUBS)'
else
all install installcheck clean:
	@echo "PostgreSQL's build files are missing ($(PG_CONFIG) --pgxs). Run: make deps" >&2; exit 1
endif

$(BUILT_FOR) $(OBJECTS)built_for build/built_for: FORCE
	@mkdir -p $(@D)
	@$(PG_CONFIG) --bindir --version | cmp -s - $@ || $(PG_CONFIG) --bindir --version >$@
# Phony, since PostgreSQL's build files have a .SECONDARY for all, under which a missing file forces nothing.
.PHONY: FORCE

# PG_CONFIGS: one pg_config for each server. What this make is asked to do with the module is done for
# each of them as well: all, install or uninstall. They are all checked before.
MODULE_MAKE = $(MAKE) -C build/neon/$$major -f '$(CURDIR)/Makefile' PG_CONFIGS= PG_CONFIG="$$program"
define for_each_server
	+@set -e; refuse() { echo "PG_CONFIGS: $$*" >&2; exit 1; }; servers=; \
	for config in $(PG_CONFIGS); do \
	  program=$$(command -v $$config) || refuse "there is no program $$config"; \
	  case $$program in /*) ;; *) program=$$PWD/$$program ;; esac; \
	  major=$$($$program --version 2>&1 | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'); \
	  [ -n "$$major" ] || refuse "$$config is not a pg_config"; \
	  case $$servers in *" $$major="*) refuse "two are of PostgreSQL $$major" ;; esac; \
	  servers="$$servers $$major=$$program"; \
	done; \
	for server in $$servers; do \
	  major=$${server%%=*}; program=$${server#*=}; \
	  mkdir -p build/neon/$$major; \
	  $(MODULE_MAKE) $(1); \
	done
endef
ifneq ($(strip $(PG_CONFIGS)),)
ifneq ($(IN_TREE),)
all: modules
install: install-modules
uninstall: uninstall-modules
endif
endif
modules:
	$(call for_each_server,all)
install-modules: modules
	$(call for_each_server,install)
uninstall-modules:
	$(call for_each_server,uninstall)

program: build/build.ninja
	ninja -C build

# What the demo needs, and an installation: all but tests and benchmarks.
essentials: essential-programs neon.so $(STUBS)/for_postgres
essential-programs: build/build.ninja
	ninja -C build cli/neon-redo cli/neon-redo-bare

build/build.ninja: build/built_for
	meson setup build $(if $(wildcard $@),--reconfigure,--prefix=$(abspath $(PREFIX))) -Dpg_config=$(PG_CONFIG)

install-program: program
	DESTDIR=$(DESTDIR) meson install -C build --no-rebuild --strip

# What the last install-program of this directory put where.
uninstall-program:
	[ ! -f build/build.ninja ] || ninja -C build uninstall

deps:
	@scripts/deps.sh

# Unless make was told how many jobs to run: as many as there are processors.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))

# Each of these starts with nothing but git and make, so what needs PGXS is a make of its own.
demo: deps
	+$(MAKE) $(JOBS) essentials
	python3 tests/demo/demo.py

ifeq ($(PGXS),)
check: deps
	+$(MAKE) $(JOBS) essentials
	ninja -C build tests/unit/unit_tests
	python3 tests/check.py
endif

# A version that cannot be had (status 3) is left out, and the tests say so.
servers: deps
	@scripts/deps.sh patchelf debian-archive-keyring
	@for major in $(foreach major,$(OTHER_MAJORS),$(if $(call system_config,$(major)),,$(major))); do \
	  scripts/fetch_server.sh $$major '$(SERVERS)'/$$major || [ $$? = 3 ] || exit 1; \
	done
with-servers: all
	PG_CONFIGS='$(PG_CONFIGS)' $(COMMAND)

# What only tests run.
TEST_PACKAGES = barman brotli bzip2 chromium-headless-shell gdb lz4 pgbackrest python3-jsonschema python3-pil rsync xz-utils zstd
test: servers
	@scripts/deps.sh $(TEST_PACKAGES)
	+$(MAKE) with-servers COMMAND='python3 tests/run.py'

LINT_PACKAGES = clang-format clang-tidy
test-ci: servers
	@scripts/deps.sh $(TEST_PACKAGES) $(LINT_PACKAGES)
	+$(MAKE) with-servers COMMAND='python3 tests/run.py --lint'

# LINT: all, or the revision that changes are counted from. Make itself has a variable of this name.
ifeq ($(origin LINT),default)
LINT =
endif
lint:
	@scripts/deps.sh $(LINT_PACKAGES)
	+$(MAKE) build/build.ninja $(SYSTEM_CALLS)
	ninja -C build src/worker/system_calls.inc
	python3 scripts/lint.py $(if $(filter all,$(LINT)),--all,$(if $(LINT),--base '$(LINT)'))

# A minimal Debian 13, with its own server and libraries. TARGETS: what make is asked for there.
test-debian13:
	@scripts/deps.sh debootstrap debian-archive-keyring
	scripts/test_debian13.sh $(TARGETS)

# Not in make test: the version before its release, which moves.
EXPERIMENTAL = 19
EXPERIMENTAL_CONFIG = $(SERVERS)/$(EXPERIMENTAL)/usr/lib/postgresql/$(EXPERIMENTAL)/bin/pg_config
test-experimental: deps
	@scripts/deps.sh patchelf debian-archive-keyring
	scripts/fetch_server.sh $(EXPERIMENTAL) '$(SERVERS)'/$(EXPERIMENTAL)
	+$(MAKE) with-servers PG_CONFIGS='$(EXPERIMENTAL_CONFIG)' \
	  COMMAND='env PG_CONFIG=$(EXPERIMENTAL_CONFIG) python3 tests/integration/run.py -v -k test_oracle. -k test_layouts.'

test-receive-long: deps
	+$(MAKE) all
	NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k again_and_again -k over_lost_connections

test-manager-long: deps
	+$(MAKE) all
	python3 tests/manager_long.py

test-damage: deps
	+$(MAKE) all
	NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k test_damage. -k test_standby_proof. -k test_verify_running.

test-follow-long: deps
	+$(MAKE) all
	NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k test_mixed_loads

test-restore-long: deps
	+$(MAKE) all
	NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k test_restore.

test-memory: deps
	+$(MAKE) all
	NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k test_memory.

test-index: servers
	+$(MAKE) with-servers COMMAND='env NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k test_index.'
	NEON_REDO_LONG=1 build/tests/unit/unit_tests --gtest_brief=1 --gtest_filter='Index*'
	+$(MAKE) with-servers COMMAND='python3 tests/regression/run.py --index'

bench: deps
	+$(MAKE) all
	python3 tests/bench/run.py

# The long forms: a million damaged records, the whole workload under the logging policy.
test-hostile: deps
	+$(MAKE) all
	build/tests/hostile/hostile_tests --gtest_brief=1
	NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k test_serve_wal_hostile.
	NEON_REDO_LONG=1 python3 tests/integration/run.py -v -k test_hostile. -k test_sandbox.

# libFuzzer: make fuzz SECONDS=60 TARGETS="wal record".
SECONDS ?= 3600
fuzz:
	@scripts/deps.sh clang-16 libclang-rt-16-dev
	+$(MAKE) all
	python3 tests/fuzz/run.py --long --seconds $(SECONDS) $(TARGETS)

# SUITE_SOURCE=DIR: the source tree of PG_CONFIG's PostgreSQL, instead of apt-get source, and only that one.
test-regression: servers
	+$(MAKE) with-servers COMMAND='python3 tests/regression/run.py $(if $(SUITE_SOURCE),--source "$(SUITE_SOURCE)")'

fuzz-schemas: deps
	+$(MAKE) all
	python3 tests/integration/schemas.py --seconds $(SECONDS)

format:
	@scripts/deps.sh clang-format
	clang-format -i $$(git ls-files -co --exclude-standard '*.cpp' '*.h')

.PHONY: all servers with-servers modules install-modules uninstall-modules program essentials essential-programs install-program uninstall-program install-stubs uninstall-stubs deps demo check lint test test-ci test-hostile test-receive-long test-restore-long test-damage test-follow-long test-memory test-index test-manager-long test-regression test-debian13 test-experimental fuzz fuzz-schemas bench format
