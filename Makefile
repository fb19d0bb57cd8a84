# Every target is thin: what it does stands in scripts/ and playbooks/, where it can be tested.
ENV ?= dev
VENV ?= .venv
PYTHON ?= python3
ROLLOUT_ROOT ?= $(CURDIR)/.run/$(ENV)
RELEASES ?= $(CURDIR)/.run/releases
export ENV VENV PYTHON ROLLOUT_ROOT RELEASES INVENTORY PORT VERSION DRY_RUN KEEP T REQUIRE PURGE EVENT TIME SINCE PROCESS REGISTRY CONFIRM UPGRADE SIGNING_KEY ADVISORIES PREVIOUS ROWS MIGRATIONS_DATABASE_URL
MAKEFLAGS += --no-print-directory
python = $(VENV)/bin/python
# What a pipeline's reader sees last of a stage that failed.
said = $(if $(CI), || scripts/failed $@ $$?)
.DEFAULT_GOAL := help
.PHONY: help up compose down test verify remote lint build image releases signer scan policy migrations pipeline site cluster secrets deploy rollback status history logs smoke backup restore drill coverage chaos removals bench lock

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 } /^## / { print substr($$0, 4) }' Makefile

## For anyone
up:  ## run the service here, ready to click through (PORT=8000)
	@scripts/up
compose:  ## run it with PostgreSQL, Redis and a proxy, as containers
	@scripts/compose up
down:  ## stop it and keep its data (PURGE=1: delete it)
	@scripts/down
test:  ## what needs no server, some minutes (T=tests/app narrows)
	@scripts/check test$(said)
verify:  ## with real processes and load (REQUIRE=all: no part missing)
	@scripts/check verify

## For a change
lint:  ## every linter
	@scripts/venv dev
	@scripts/lint$(said)
build:  ## the bundle of this commit (SIGNING_KEY= signs), its image
	@scripts/venv ops
	@"$(python)" scripts/release.py build$(said)
image:  ## the image of this commit, pushed if REGISTRY is set
	@scripts/venv ops
	@"$(python)" scripts/release.py image
scan:  ## secrets, vulnerabilities (ADVISORIES=), corrupt bundles
	@scripts/venv dev
	@scripts/scan$(said)
policy:  ## a policy linter on what the overlays render to
	@scripts/policy
migrations:  ## missing, fatal, losing rows, locking (PREVIOUS=, ROWS=)
	@scripts/venv dev
	@"$(python)" scripts/migrations.py$(said)
pipeline:  ## all stages in order (EVENT=main: to the end)
	@scripts/pipeline
remote:  ## a bare repository that runs the pipeline on push
	@scripts/remote

## For servers (ENV=staging)
site:  ## make bare Debian servers fit to carry the service
	@scripts/play site
cluster:  ## make a namespace of a cluster fit to carry the service
	@scripts/play cluster
secrets:  ## the environment's secrets, made or rotated
	@scripts/secrets

## For a release (ENV=dev, DRY_RUN=1)
deploy:  ## roll this commit out (VERSION=: a kept release)
	@scripts/deploy$(said)
rollback:  ## back to the previous release (VERSION=: to that one)
	@scripts/play rollback$(said)
status:  ## what runs, and whether it is well
	@scripts/play status
history:  ## every rollout: who, what, how long, how it ended
	@scripts/play history
logs:  ## what all processes said, by time (SINCE=10m PROCESS=web)
	@scripts/play logs
smoke:  ## ask the running release everything
	@scripts/play smoke$(said)
backup:  ## copy the database, and read the copy again
	@scripts/play backup
restore:  ## bring the database back (TIME=: as it was then)
	@scripts/play restore
drill:  ## rehearse that beside the service, and compare
	@scripts/play drill$(said)
releases:  ## those that are kept
	@scripts/venv ops
	@"$(python)" scripts/release.py list
signer:  ## let SIGNING_KEY sign for ENV: from then on one has to
	@scripts/venv ops
	@"$(python)" scripts/release.py signer

## The proof
coverage:  ## the share of playbooks, templates, scripts that ran
	@scripts/check coverage
chaos:  ## the whole matrix of faults under load
	@scripts/check chaos
removals:  ## whether tests miss 20 tasks (T=playbooks/roles/base)
	@scripts/check removals
bench:  ## figures, side by side, into docs/benchmarks.md
	@scripts/check bench
lock:  ## hashes for requirements/*.in (UPGRADE=1: newest versions)
	@scripts/lock
