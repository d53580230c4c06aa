.PHONY: setup test test-all test-oracles fuzz audit bench lint

# ARGS goes to the command behind a target: make audit ARGS="dataset=mnist cut=1,2,3", make test ARGS="-k codec".
ARGS ?=

setup:
	@scripts/setup

test:
	@scripts/test $(ARGS)

test-all:
	@scripts/test-all $(ARGS)

test-oracles:
	@scripts/test-oracles $(ARGS)

fuzz:
	@scripts/fuzz $(ARGS)

audit:
	@scripts/audit $(ARGS)

bench:
	@scripts/bench $(ARGS)

lint:
	@scripts/lint
