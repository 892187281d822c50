# Stele. `make demo` and `make check` install what is missing, build, and run; `make help` lists the rest.

PREFIX  ?= /usr/local
BUILD   ?= plain
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
VERSION := 0.1.0

# plain: what is installed. asan: the same with AddressSanitizer and UBSan, for the tests.
O       := build/$(BUILD)
WARN    := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla \
           -Wformat=2 -Wundef -Wcast-qual -Wwrite-strings
HARDEN  := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
FLAGS_plain := -O2 $(HARDEN)
LINK_plain  := -pie -Wl,-z,relro,-z,now,-z,noexecstack
FLAGS_sim   := -O1 -fno-omit-frame-pointer
LINK_sim    :=
FLAGS_asan  := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
LINK_asan   := -fsanitize=address,undefined
FLAGS_tsan  := -O1 -fno-omit-frame-pointer -fsanitize=thread
LINK_tsan   := -fsanitize=thread
# fuzz: what tests/fuzz/run.sh runs, with CC=clang.
FLAGS_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LINK_fuzz  := -fsanitize=fuzzer,address,undefined
# cov: what tests/coverage.sh counts. Warnings are the other builds': some differ without optimisation.
FLAGS_cov   := -O0 -w --coverage -fprofile-update=atomic -include tests/coverage.h
LINK_cov    := --coverage
CFLAGS  ?= -g
override CFLAGS += -std=c17 -D_DEFAULT_SOURCE -D_POSIX_C_SOURCE=200809L -DSTELE_VERSION='"$(VERSION)"' -I. -pthread -MMD -MP \
           $(WARN) $(FLAGS_$(BUILD))
override LDFLAGS += -pthread $(LINK_$(BUILD)) -Wl,--as-needed
LIBS    := -lcurl -lmicrohttpd -lnghttp2 -lgnutls -llmdb -ljansson -lsodium -lnettle -lsqlite3 -lseccomp -llzma -lzstd -lbz2 -lz -llz4 \
           -lbrotlidec

lib_o     := $(patsubst %.c,$O/%.o,$(wildcard lib/*.c))
sys_o     := $(patsubst %.c,$O/%.o,$(wildcard lib/sys/*.c))
log_o     := $(patsubst %.c,$O/%.o,$(wildcard log/*.c))
witness_o := $(patsubst %.c,$O/%.o,$(wildcard witness/*.c))
client_o  := $(patsubst %.c,$O/%.o,$(filter-out client/hook.c client/hook_words.c client/hook_main.c,$(wildcard client/*.c)))
# The hooks, with no more of the client than they call: what else `stele` loads takes longer than all their work.
hook_o    := $(patsubst %,$O/client/%.o,hook_main hook hook_words hooked agent_ask agent_request build build_inputs rebuild builder_state built \
             config counts outbox ticket ticket_text)
unit_t    := $(patsubst tests/unit/%.c,$O/tests/unit/%,$(wildcard tests/unit/test_*.c tests/unit/vectors_*.c))
fuzz_t    := $(patsubst tests/fuzz/%.c,$O/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
e2e_t     := $(patsubst tests/e2e/%.c,$O/tests/e2e/%,$(wildcard tests/e2e/*.c))
fault_t   := $(patsubst tests/fault/%.c,$O/tests/fault/%,$(wildcard tests/fault/*.c))
preload_t := $(patsubst tests/preload/%.c,$O/tests/preload/%.so,$(wildcard tests/preload/*.c))
conform_o := $(patsubst %.c,$O/%.o,$(wildcard tests/conformance/*.c))
bench_t   := $(patsubst tests/bench/%.c,$O/tests/bench/%,$(wildcard tests/bench/*.c))
units     := $(notdir $(wildcard systemd/*.service systemd/*.socket systemd/*.path))
pages     := $(addprefix $O/man/,$(notdir $(wildcard man/*.[158])) $(notdir $(basename $(wildcard man/*.in))))
programs  := $O/bin/stele-log $O/bin/stele-witness $O/bin/stele $O/bin/stele-hook $O/bin/stele-diff-hook

.PHONY: all man deps demo check conformance check-build check-coverage check-fuzz check-nix check-vectors print-warnings lint coverage fuzz fault sim tsan bench install deb clean help
all: $(programs)

$O/lib/libstele.a: $(lib_o)
$O/lib/sys/libstelesys.a: $(sys_o)
$O/%.a:
	@rm -f $@
	$(AR) rcs $@ $^

libs := $O/lib/sys/libstelesys.a $O/lib/libstele.a

$O/bin/stele-log: $(log_o) $(libs)
$O/bin/stele-witness: $(witness_o) $(libs)
$O/bin/stele: $(client_o) $(libs)
$O/bin/stele-hook: $(hook_o) $(libs)
$O/bin/stele-log $O/bin/stele-witness $O/bin/stele $O/bin/stele-hook:
	@mkdir -p $(@D)
	@rm -f $@ # not through what an earlier version linked it to
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$O/bin/stele-diff-hook: $O/bin/stele-hook
	ln -sf stele-hook $@

$O/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

trail_o := $(patsubst %,$O/client/%.o,trail trail_graph trail_judge trail_proofs trail_settle trail_why trail_memory prove gate_heads)
$O/client/units.o: $(wildcard systemd/*)

# The pages of programs with verbs are made with what these say of themselves.
$O/man/%: man/%.in man/make.sh all
	@mkdir -p $(@D)
	man/make.sh $O/bin/$(basename $*) $< >$@.new && mv $@.new $@
$O/man/%: man/%
	@mkdir -p $(@D)
	cp $< $@

# Objects of a program that a unit test links besides the libraries.
store_o := $(patsubst %,$O/log/%.o,store store_open store_read index index_memory index_runs index_view seen seen_run)
$O/tests/unit/test_store $O/tests/unit/test_store_lookups $O/tests/unit/test_index $O/tests/unit/test_seen: $(store_o)
$O/tests/unit/test_store $O/tests/unit/test_store_lookups: $O/tests/unit/store_world.o
$O/tests/unit/test_store: $O/log/store_check.o
$O/tests/unit/test_audit: $O/log/audit.o
$O/tests/unit/test_gate_ahead: $O/client/gate_ahead.o
$O/tests/unit/test_gate_lookups: $O/client/gate_lookups.o
$O/tests/unit/test_gather: $(patsubst %,$O/client/%.o,gather proofs proofs_rest proofs_trim)
$O/tests/unit/test_trail $O/tests/unit/test_trail_memory: $(trail_o) $(patsubst %,$O/client/%.o,evidence memory config) \
	$O/tests/graph.o $O/tests/memory_log.o $O/tests/must.o $O/tests/unit/trail_world.o
$O/tests/unit/test_evidence: $O/client/evidence.o $O/tests/attestation.o $O/tests/must.o
$O/tests/unit/test_proofs_rest: $(patsubst %,$O/client/%.o,proofs_rest proofs proofs_trim) $(patsubst %,$O/tests/%.o,attestation memory_log must)
$O/tests/unit/test_prove: $(patsubst %,$O/client/%.o,prove evidence memory config) $(patsubst %,$O/tests/%.o,attestation memory_log must)
$O/tests/unit/test_client_config: $O/client/config.o
$O/tests/unit/test_ticket: $O/client/ticket_text.o
$O/tests/unit/test_built: $O/client/built.o
$O/tests/unit/test_delivery_logs: $(patsubst %,$O/client/%.o,delivery_logs proofs proofs_rest post)
$O/tests/unit/test_json $O/tests/fuzz/fuzz_json: $O/tests/json_peer.o
$(patsubst %,$O/tests/unit/%,test_http test_http_strict) $(patsubst %,$O/tests/e2e/%,http_driver fake_log fake_witness): $O/tests/raw.o
$O/tests/unit/test_hot: $O/log/hot.o
$O/tests/unit/test_spec: $O/log/lookups.o
$O/tests/unit/test_bastion: $O/tests/bastion_peer.o
$O/tests/unit/test_pipeline: $(filter-out $O/log/main.o,$(log_o))

$(unit_t): $O/tests/unit/%: $O/tests/unit/%.o $O/tests/unit/support.o $(libs)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -lcmocka
$O/tests/bench/verify: $O/client/evidence.o $O/tests/memory_log.o
$O/tests/bench/trace: $O/tests/graph.o $(filter-out $O/client/main.o $O/client/hook_main.o,$(client_o))
$O/tests/bench/grow: $(patsubst %,$O/log/%.o,entry config) $(store_o)
$(preload_t): $O/tests/preload/%.so: tests/preload/%.c Makefile
	@mkdir -p $(@D)
	$(CC) -std=c17 -D_GNU_SOURCE -I. -O2 -fPIC -shared -MMD -MP $(WARN) -o $@ $<
$(e2e_t) $(fault_t) $(bench_t): $O/tests/%: $O/tests/%.o $(patsubst %,$O/tests/%.o,attestation witness_driver own_log must) $(libs)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)
$O/tests/fault/powercut: $(patsubst %,$O/tests/fault/cut/%.o,disk disk_write names states words)
$O/tests/e2e/witness_bastion: $O/tests/bastion_peer.o
$O/tests/e2e/spec_vectors: $(patsubst %.c,$O/%.o,$(wildcard tests/vectors/*.c))
# Asks any C2SP witness or log; it knows of no other program here.
$O/tests/conformance/conformance: $(conform_o) $O/tests/own_log.o $(libs)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)
# Without libFuzzer a target reads its corpus from files: the short form in `check`.
$O/tests/fuzz/fuzz_submission: $(patsubst %,$O/log/%.o,submission entry config) $(store_o)
$O/tests/fuzz/fuzz_lookups $O/tests/fuzz/fuzz_request: $O/log/lookups.o
$O/tests/fuzz/fuzz_audit_state: $O/log/audit_state.o
$O/tests/fuzz/fuzz_agent: $O/client/agent_request.o
$O/tests/fuzz/fuzz_answer: $O/client/answer.o
$O/tests/fuzz/fuzz_builder_state: $(patsubst %,$O/client/%.o,builder_state counts)
$O/tests/fuzz/fuzz_delivery: $O/client/delivery_report.o
$O/tests/fuzz/fuzz_hook: $O/client/hook_words.o
$O/tests/fuzz/fuzz_letter: $O/client/letters.o
$O/tests/fuzz/fuzz_logsfile: $O/witness/logs_file.o
$O/tests/fuzz/fuzz_ticket: $O/client/ticket_text.o
$O/tests/fuzz/fuzz_request: $O/tests/fuzz/wire.o
$O/tests/fuzz/fuzz_submission: $O/tests/fuzz/still.o
$O/tests/fuzz/fuzz_log: $(patsubst %,$O/tests/fuzz/%.o,wire still) $O/tests/own_log.o $O/tests/attestation.o $O/tests/must.o \
    $(filter-out $O/log/main.o $O/log/workers.o,$(log_o))
$O/tests/fuzz/fuzz_gate: $(patsubst %,$O/tests/fuzz/%.o,gate_world wire still upstream) $O/tests/must.o \
    $(filter-out $(patsubst %,$O/client/%.o,main gate_keep gate_ahead),$(client_o))
$O/tests/fuzz/fuzz_gatesigner: $(patsubst %,$O/tests/fuzz/%.o,gate_world still) $O/tests/must.o $(filter-out $O/client/main.o,$(client_o))
$O/tests/fuzz/fuzz_post: $O/tests/fuzz/upstream.o $O/tests/must.o $(filter-out $O/client/main.o,$(client_o))
$O/tests/fuzz/fuzz_signer: $O/tests/fuzz/still.o $O/tests/must.o
$O/tests/fuzz/fuzz_seen: $O/log/seen_run.o $O/tests/fuzz/still.o $O/tests/must.o
$O/tests/fuzz/fuzz_index: $(patsubst %,$O/log/%.o,index index_memory index_runs index_view) $O/tests/fuzz/still.o $O/tests/must.o
$O/tests/fuzz/fuzz_evidence: $O/client/evidence.o $O/tests/must.o
$O/tests/fuzz/fuzz_signedhead: $O/log/signed_head.o $O/tests/must.o
$O/tests/fuzz/fuzz_witness: $(patsubst %,$O/tests/fuzz/%.o,wire still) $O/tests/own_log.o $O/tests/must.o $(filter-out $O/witness/main.o,$(witness_o))
$(fuzz_t): $O/tests/fuzz/%: $O/tests/fuzz/%.o $(if $(filter fuzz,$(BUILD)),,$O/tests/fuzz/replay.o) $(libs)
	$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

# The log and the witness in one process, on a simulated system: what they call of it is replaced here, by the linker. Built
# without _FORTIFY_SOURCE, which gives system calls other names.
sim_o    := $(patsubst %.c,$O/%.o,$(wildcard tests/sim/*.c))
sim_sys  := $(filter-out $(patsubst %,$O/lib/sys/%.o,child http_% http2 http2_% bastion tls kv kv_% report),$(sys_o))
sim_wrap := pthread_create pthread_join pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_unlock \
            pthread_cond_init pthread_cond_destroy pthread_cond_wait pthread_cond_timedwait pthread_cond_signal \
            pthread_cond_broadcast pthread_rwlock_init pthread_rwlock_destroy pthread_rwlock_rdlock pthread_rwlock_wrlock \
            pthread_rwlock_unlock pthread_sigmask sched_yield setpriority nanosleep clock_gettime sysconf sigwait open close read \
            write pread pwrite fsync fdatasync ftruncate rename unlink rmdir mkdir getrandom fstat stat lstat access fchmod statvfs \
            flock scandir mmap
# One program's objects as one, of which only its commands can be seen, under names of its own.
$O/tests/sim/log_all.o: $(log_o)
$O/tests/sim/witness_all.o: $(witness_o)
$O/tests/sim/%_all.o:
	@mkdir -p $(@D)
	$(LD) -r -o $@ $(filter-out %/main.o,$^)
	nm -g --defined-only $@ | sed -n 's/.* \(cmd_[a-z_]*\)$$/\1/p' >$@.names
	objcopy --keep-global-symbols=$@.names $@
	sed 's/.*/& $*_&/' $@.names >$@.renames
	objcopy --redefine-syms=$@.renames $@
$O/tests/sim/sim: $(sim_o) $O/tests/attestation.o $O/tests/sim/log_all.o $O/tests/sim/witness_all.o $(sim_sys) $O/lib/libstele.a
	$(CC) $(LDFLAGS) $(sim_wrap:%=-Wl,--wrap=%) -o $@ $^ $(LIBS)

# The servers and the gate under load, watched for data races; what is found is printed.
tsan: deps
	@$(MAKE) --no-print-directory -s BUILD=tsan all $(patsubst $O/%,build/tsan/%,$(e2e_t) $(unit_t) $O/tests/bench/witness)
	@tests/tsan.sh

# As many SEEDS, from FIRST on; a failing one shows its story with build/sim/tests/sim/sim -v SEED.
sim: deps
	@$(MAKE) --no-print-directory -s BUILD=sim build/sim/tests/sim/sim
	@build/sim/tests/sim/sim $(or $(FIRST),1) $(or $(SEEDS),1000)
.SECONDARY:

deps:
	@tests/packages/install.sh

man: $(pages)

demo: deps
	@$(MAKE) --no-print-directory -s all
	@tests/e2e/demo.sh $O/bin

# Every test, plain and under the sanitizers; the last line is "N passed, N failed".
check: deps
	@tests/run.sh

check-build: all $(unit_t) $(fuzz_t) $(e2e_t) $(fault_t) $(preload_t) $(bench_t) $O/tests/conformance/conformance

# Asks the C2SP witness or log that one names to it: tests/conformance/README.md.
conformance: $O/tests/conformance/conformance

# The vector tests alone, over VECTORS=DIR, with the count of cases.
check-vectors: deps all $(filter $O/tests/unit/vectors_%,$(unit_t)) $(e2e_t)
	@STELE_VECTORS=$(abspath $(or $(VECTORS),../shared/vectors)) STELE_BUILD=$(abspath $O) \
		tests/run.sh only $(filter $O/tests/unit/%,$^) tests/e2e/test_witness.sh

# The builder's side and the gate on a newer Nix: Debian 13's, fetched into build/newer-nix.
check-nix: deps all $(e2e_t)
	@tests/nix/newer.sh

print-warnings:
	@echo '$(WARN)'

lint:
	@tests/lint.sh

# Lines and branches that tests reach, a row for each folder.
coverage: deps
	@$(MAKE) --no-print-directory -s BUILD=cov all check-coverage
	@tests/coverage.sh build/cov
check-coverage: $(unit_t) $(fuzz_t) $(e2e_t) $(preload_t) $O/tests/bench/witness

fuzz: deps
	@$(MAKE) --no-print-directory -s BUILD=fuzz CC=clang check-fuzz
	@tests/fuzz/run.sh $(or $(SECONDS),600) $(ONLY)
check-fuzz: $(fuzz_t)

# Every fault that a disk, a kill or a full file system can be, one by one; a sample of them is part of `check`.
fault: deps
	@$(MAKE) --no-print-directory -s all $(e2e_t) $(fault_t) $(preload_t) $O/tests/bench/grow
	@tests/fault/run.sh

# One table and the plots, into OUT; the growing log up to GROWTH entries (ten million: a quarter of an hour more, and 22 GB in TMPDIR).
bench:
	@tests/packages/install.sh bench
	@$(MAKE) --no-print-directory -s all $(bench_t)
	@tests/bench/all.sh $O $(or $(OUT),tests/bench) $(or $(GROWTH),1000000)

install: all $(pages)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $O/bin/stele-log $O/bin/stele-witness $O/bin/stele $O/bin/stele-hook $(DESTDIR)$(PREFIX)/bin
	ln -sf stele-hook $(DESTDIR)$(PREFIX)/bin/stele-diff-hook
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/share/doc/stele
	for unit in $(units); do \
		sed 's|@PREFIX@|$(PREFIX)|' systemd/$$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; \
	done
	install -m 644 systemd/stele.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/stele.conf
	for page in $(pages); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$(basename $$page) || exit 1; \
	done
	ln -sf stele-hook.1 $(DESTDIR)$(PREFIX)/share/man/man1/stele-diff-hook.1
	install -d $(DESTDIR)$(PREFIX)/share/doc/stele/vectors
	install -m 644 README.md CHANGELOG.md spec/*.md $(DESTDIR)$(PREFIX)/share/doc/stele
	install -m 644 spec/vectors/* $(DESTDIR)$(PREFIX)/share/doc/stele/vectors

# The Debian package, from a copy of the sources, into build/deb.
deb:
	@tests/deb.sh build/deb

clean:
	rm -rf build

help:
	@echo 'make                     build into build/plain/bin (BUILD=asan: with sanitizers; CC=clang)'
	@echo 'make demo                the whole story on real Nix, in under two minutes'
	@echo 'make check               every test'
	@echo 'make check-nix           the builder'"'"'s side and the gate on a newer Nix, fetched into build/newer-nix'
	@echo 'make check-vectors       the vector tests, VECTORS=DIR'
	@echo 'make lint                gcc -fanalyzer, clang-tidy and cppcheck'
	@echo 'make coverage            lines and branches that tests reach, a folder'
	@echo 'make fuzz                every parser under libFuzzer, SECONDS=600 each; ONLY="json nar"'
	@echo 'make fault               faults injected one by one: syscalls that fail, kills, flipped bits, a full disk, power cuts'
	@echo 'make sim                 log, signer and witnesses on a simulated disk, clock and network: SEEDS=1000, FIRST=1'
	@echo 'make tsan                the servers and the gate under load, watched for data races'
	@echo 'make bench               throughput and latency beside the limits of this machine, into tests/bench: OUT=, GROWTH=1000000 entries'
	@echo 'make man                 the manual pages, into build/plain/man'
	@echo 'make deb                 the Debian package, into build/deb'
	@echo 'make install             DESTDIR=, PREFIX=/usr/local'

-include $(shell find build/$(BUILD) -name '*.d' 2>/dev/null)
