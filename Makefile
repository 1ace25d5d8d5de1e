# make lab            opens the course
# make test           the tests for every change: under 10 minutes on two cores, without a network once it has run
# make test-all       those, and what takes longer or needs a network, for a release:
#   make test-colab     notebooks, panels and fleet with the versions that Colab has, in .venv-colab
#   make test-slow      long trainings, killed sweeps, a full disk, both backends, pages in the browser
# make html           writes the course as pages to read, into html/
# make bench-panels   measures how fast the panels follow the hand
# make bench-training measures how fast networks train, many at once and one by one
# All set up .venv first, once, and can be run again at any time.
#   PYTHON=/path/to/python3.12   the Python to set up with
#   LABFLAGS=..., TESTFLAGS=...  passed on to JupyterLab and pytest
# Tests run on two processes, a file on one of them, and notebooks, which take longest, first; they
# say why when they leave something out. numpy's products stay on one thread: of two processes that
# take both cores each, one would mostly wait for the other.

.PHONY: lab html test test-all test-colab test-slow bench-panels bench-training stamp clean-notebooks clean \
    set-up-lab set-up-test set-up-colab

BIN := .venv/bin/python
COLAB := .venv-colab/bin/python
TEST := WMLAB_SCALE=class OPENBLAS_NUM_THREADS=1 $(BIN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -rsxX
CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python)
# JupyterLab would ask every student about news, and save a notebook without its pictures; who wants that can still
# switch it in its settings.
CHOSEN := {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}, \
    "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": true}}
# Sliders wait for answers: the server must hold none back on its way to the browser (wmlab/tools/jupyter.py says why).
PROMPT := {"ServerApp": {"kernel_websocket_connection_class": "wmlab.tools.jupyter.PromptConnection"}}
# Written at every set-up, also into a .venv that is up to date otherwise: an older one names a module that has moved.
SETTINGS := mkdir -p .venv/share/jupyter/lab/settings .venv/etc/jupyter; \
    echo '$(CHOSEN)' >.venv/share/jupyter/lab/settings/overrides.json; \
    echo '$(PROMPT)' >.venv/etc/jupyter/jupyter_server_config.json

lab: set-up-lab
	@$(BIN) -m jupyterlab $(LABFLAGS) notebooks/00_start_here.ipynb

test: set-up-test
	@$(TEST) -m "not slow" $(TESTFLAGS)

# One after the other, also under make -j: two runs at once would share two cores.
test-all:
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-colab
	@$(MAKE) --no-print-directory test-slow

test-slow: set-up-test
	@$(TEST) -m slow $(TESTFLAGS)

# What other versions can break: panels, figures, many networks at once under jax, and whatever a
# notebook calls. The other tests look at numbers, files and servers: the same with any version.
test-colab: set-up-colab
	@$(subst $(BIN),$(COLAB),$(TEST)) notebooks tests/test_panels_swept.py tests/test_fleet.py \
	    tests/test_colab.py tests/show $(TESTFLAGS)

bench-panels: set-up-test
	@$(BIN) -m pytest tests/browser/bench_panels.py -q $(TESTFLAGS)

bench-training: set-up-test
	@$(BIN) -m pytest tests/bench_training.py -q $(TESTFLAGS)

html stamp clean-notebooks: set-up-lab
	@$(BIN) -m wmlab $@

clean:
	rm -rf .venv .venv-colab html dist build *.egg-info .pytest_cache .ruff_cache .hypothesis
	find wmlab tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

set-up-lab: EXTRAS := lab
set-up-test: EXTRAS := lab,test

# A finished set-up leaves a file that says what it was made from. While that is still true nothing is
# done, so a course that was set up once needs no network.
set-up-lab set-up-test:
	@made_from() { cat pyproject.toml; pwd; }; \
	base() { "$$1" -c 'import sys; print(sys.base_prefix)' 2>&1; }; \
	wanted() { [ -z "$(PYTHON)" ] || [ "$$(base $(BIN))" = "$$(base "$(PYTHON)")" ]; }; \
	if [ -x $(BIN) ] && wanted && made_from | cmp -s - .venv/$@; then $(SETTINGS); exit 0; fi; \
	if ! { $(BIN) -m pip --version >/dev/null 2>&1 && wanted; }; then \
	    found=; bare=; \
	    for python in $(CANDIDATES); do \
	        "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	            >/dev/null 2>&1 || continue; \
	        if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$python; break; fi; \
	        bare=$$python; \
	    done; \
	    if [ -n "$$found" ]; then "$$found" -m venv --clear .venv || exit 1; \
	    elif [ -n "$$bare" ]; then echo "$$bare lacks venv or pip (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; \
	    else echo "wmlab needs Python 3.11, 3.12 or 3.13; none of these is one: $(subst ",,$(CANDIDATES)) (name yours with PYTHON=...)" >&2; exit 1; fi; \
	fi; \
	echo "Installing the packages into .venv; this takes a few minutes, but only once."; \
	if ! $(BIN) -m pip install --disable-pip-version-check -e '.[$(EXTRAS)]' >.venv/install.log 2>&1; then \
	    echo "pip could not install the packages: is there a network, and room on the disk? See .venv/install.log" >&2; exit 1; \
	fi; \
	$(SETTINGS); \
	made_from >.venv/set-up-lab; made_from >.venv/$@

# The same Python as .venv's. Colab's packages first and then wmlab, as the first cell of a notebook installs it there.
set-up-colab: set-up-lab
	@made_from() { cat pyproject.toml tests/colab.txt; pwd; }; \
	install() { $(COLAB) -m pip install --disable-pip-version-check "$$@" >>.venv-colab/install.log 2>&1; }; \
	if [ -x $(COLAB) ] && made_from | cmp -s - .venv-colab/set-up; then exit 0; fi; \
	echo "Installing the packages that Colab brings into .venv-colab; this takes a few minutes, but only once."; \
	$(BIN) -m venv --clear .venv-colab || exit 1; \
	if ! { install -r tests/colab.txt && $(COLAB) -m pip freeze --all >.venv-colab/brought.txt && install -e .; }; then \
	    echo "pip could not install the packages: is there a network, and room on the disk? See .venv-colab/install.log" >&2; exit 1; \
	fi; \
	made_from >.venv-colab/set-up
