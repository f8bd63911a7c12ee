# make nightly and make test need nothing but Python 3.11, Java 17, make and a way to the package registry.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help env nightly test test-all fast lint airflow airflow-env readers peers bench docs freeze clean

BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
RAW ?=
SOURCE ?=
RUN_DATE ?=
WAREHOUSE ?= warehouse
PYTEST := $(BIN)/pytest
export SPARK_CONF_DIR ?= $(CURDIR)/conf/spark
export INTEREST_DATA_DIR

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

env:  ## the environment in .venv (about 6 GB) and the Delta jars
	@make/environment.sh .venv constraints.txt
	@make/jars.sh

readers:  ## .venv-readers: delta-rs, DuckDB and pandas with a current pyarrow
	@NEEDS_JAVA=no NEEDS_GB=1 make/environment.sh .venv-readers constraints-readers.txt deltalake duckdb pandas pyarrow

airflow-env:  ## .venv-airflow
	@NEEDS_JAVA=no NEEDS_GB=1 make/environment.sh .venv-airflow constraints-airflow.txt \
	    apache-airflow apache-airflow-providers-apache-spark

peers:  ## .venv-peers: other libraries' models, for benchmarks/peers (needs 6 GB)
	@NEEDS_JAVA=no NEEDS_GB=6 make/environment.sh .venv-peers constraints-peers.txt \
	    "rectools[torch]" implicit pandas pyarrow scipy torch

nightly: env  ## one night, by default of a sample log; RAW= SOURCE= RUN_DATE= WAREHOUSE= for your own
	@make/nightly.sh "$(RAW)" "$(SOURCE)" "$(RUN_DATE)" "$(WAREHOUSE)"

test:  ## fast and spark lanes, and what of slow fits ten minutes
	@$(MAKE) --no-print-directory -j 3 env readers airflow-env
	@SECONDS=0; $(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m "not gpu and not long" --durations=15 && echo "tests passed in $$SECONDS seconds"

test-all: env readers airflow-env  ## everything this machine can run
	@SECONDS=0; $(PYTEST) && echo "all tests passed in $$SECONDS seconds"

fast: env  ## the lane without a JVM
	@$(PYTEST) -m "not spark and not slow and not gpu"

lint: env  ## ruff
	@$(BIN)/ruff check .

airflow: env airflow-env  ## an Airflow environment of its own and one real day by 'airflow dags test'
	@make/airflow.sh

bench: env  ## ratios that need no log: the Arrow edge, encoding, history
	@for file in benchmarks/{arrow_edge,encode,history}.py; do echo "== $$file"; $(BIN)/python "$$file" || exit; done

docs: env  ## docs/tables.md from interest_model/tables.py
	@$(BIN)/python -m interest_model.data_dictionary > docs/tables.new && mv docs/tables.new docs/tables.md

freeze: env  ## constraints.txt from what is installed
	@make/freeze.sh

clean:  ## environments, caches and the sample log; tables stay, and the keys beside them
	rm -rf .venv .venv-airflow .venv-readers .venv-peers .airflow build dist *.egg-info .pytest_cache .hypothesis .ruff_cache \
	    sample_log spark-warehouse metastore_db derby.log
