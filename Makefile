# The commands of this project. `make test` and `make demo` do all the set-up on a
# Debian machine that has only python3, make and git; all share one .venv.
#
#   make test      the tests, on SQLite, PostgreSQL and MariaDB
#   make demo      the example shop: the command, then the served endpoint
#   make slow      the tests that take long
#   make coverage  the tests once more, and which lines they reach
#   make lint      ruff: rules and format         make format    let it correct both
#   make types     mypy
#   make build     sdist and wheel, checked, and installed in an empty environment
#   make docs      the documentation, into docs/_build/html
#   make matrix    the tests on every Python and Django that we support
#   make bench     what the engine costs beside plain unittest
#   make screenshots  the pictures of the page, into docs/images
#   make servers   keep PostgreSQL and MariaDB up, to run pytest again and again
#   make clean     remove all that the above made
#
# A part of the tests: make test TESTS="tests/test_views.py -k json"

PYTHON ?= python3
BIN := .venv/bin
TESTS ?=
# Most tests wait for a process or a server: more of them than processors.
WORKERS ?= -n3 --dist=loadfile
# Development mode, less the debug hooks of the memory allocators, which are for those who
# write C, and take a seventh of the processor's time.
PYTEST := PYTHONDEVMODE=1 PYTHONMALLOC=default $(BIN)/python -m pytest $(WORKERS)
# Hundreds of processes: none of them shall compile the package for itself, not even where
# PYTHONDONTWRITEBYTECODE is set, as in many containers.
COMPILED := $(BIN)/python -m compileall -q src tests

.PHONY: test demo slow coverage lint format types build docs matrix bench screenshots servers clean

test: .venv/develop
	@$(COMPILED)
	@$(PYTEST) $(TESTS)

coverage: .venv/develop
	@$(COMPILED)
	@$(PYTEST) --cov --cov-report=term $(TESTS)

slow: .venv/develop
	@$(COMPILED)
	@$(PYTEST) -m slow $(TESTS)

demo: .venv/package
	@$(BIN)/python example/demo.py

lint: .venv/develop
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .

format: .venv/develop
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

types: .venv/develop
	@.ci/quietly $(BIN)/mypy

build: .venv/develop
	@.ci/build

docs: .venv/develop
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build/html

matrix: .venv/develop
	@.ci/matrix

bench: .venv/package
	@for script in benchmarks/*.py; do $(BIN)/python "$$script" || exit 1; done

screenshots: .venv/develop
	@$(BIN)/python -m tests.screenshots

servers: .venv/develop
	@$(BIN)/python -m tests.servers

clean:
	@rm -rf .venv .tox build dist docs/_build .coverage .mypy_cache .ruff_cache

# The package, and what the example needs.
.venv/package: pyproject.toml example/requirements.txt
	@.ci/debian python3-venv
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || .ci/quietly $(PYTHON) -m venv --clear .venv
	@.ci/quietly $(BIN)/python -m pip install --upgrade 'pip>=25.1'
	@.ci/quietly $(BIN)/python -m pip install --editable . --requirement example/requirements.txt
	@touch $@

# And all that tests and tools need: servers, a browser, and what mysqlclient is compiled with.
.venv/develop: .venv/package pyproject.toml
	@.ci/debian gcc python3-dev pkg-config libmariadb-dev \
	    postgresql mariadb-server-core mariadb-client-core \
	    nginx-light pgbouncer redis-server memcached rabbitmq-server chromium fonts-dejavu-core \
	    curl jq
	@.ci/quietly $(BIN)/python -m pip install --group dev
	@.ci/quietly $(BIN)/python -m pip install --group mysql \
	    || echo "mysqlclient cannot be built (see above): the tests on MariaDB will be skipped"
	@touch $@
