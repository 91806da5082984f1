# `make` lists the targets. Every target but docs makes the environment first where it is missing (.venv; some minutes
# the first time, 10 to 15 where PETSc must be compiled, nothing afterwards).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help figures render test lab explore docs browser prepare env dist hooks clean

ENV_DIR ?= .venv
export ENV_DIR
# The programs of the environment come first: python, mpiexec, nbdev_export, jupyter.
run = PATH="$$(cd "$$ENV_DIR/bin" && pwd):$$PATH"

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

figures: env  ## make the paper's figures and figures/index.html; one with FIG=fig04, small with SIZE=small
	@$(run) python tools/make_figures.py $(FIG) $(if $(SIZE),--size $(SIZE))

render: env  ## make the figures and store the outputs in their notebooks; one with FIG=fig04
	@$(run) python tools/make_figures.py --inplace $(FIG)

test: env  ## run every notebook at a small size, and the tests; some with ARGS='-k house'
	@$(run) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m pytest -n 2 --dist worksteal $(ARGS)

lab: env  ## open nbs/index.ipynb in JupyterLab, on this machine only
	@$(run) jupyter lab --ip=127.0.0.1 $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS) nbs/index.ipynb

# without a screen Voilà would open a browser of the terminal
screen = $(or $(DISPLAY),$(WAYLAND_DISPLAY),$(filter-out Linux,$(shell uname)))

explore: env  ## open a page with the layers of a photograph, on this machine only; yours with PHOTO=my.jpg
	@$(run) SSS_NB_PHOTO="$(if $(PHOTO),$(abspath $(PHOTO)))" SSS_NB_FOLDER="$$PWD" \
		voila --Voila.config_file_paths="$$PWD/tools" $(if $(screen),,--no-browser) $(ARGS) nbs/tutorials/explore.ipynb

docs:  ## build the site in _docs, without the solvers: from what is stored in the notebooks
	@tools/make_docs.sh

browser:  ## install chromium for the tests of that page and of the site, as root on Debian
	@tools/get_browser.sh

prepare: env  ## export the notebooks to sss_nb, test, clean the notebooks
	@$(run) nbdev_export
	@$(run) python tools/make_readme.py
	@$(MAKE) --no-print-directory test
	@$(run) nbdev_clean

dist: env  ## build wheel and source archive in dist/, check them and use them; all anew with FRESH=yes
	@$(run) python -m pip install -q --disable-pip-version-check -c constraints.txt build twine check-wheel-contents
	@$(run) python tools/make_dist.py $(if $(FRESH),--fresh) $(if $(TAG),--tag $(TAG))

hooks: env  ## let git merge notebooks cell by cell, with nbdev's merge driver
	@git config --local merge.nbdev-merge.name "notebooks cell by cell"
	@git config --local merge.nbdev-merge.driver "$$(cd "$$ENV_DIR/bin" && pwd)/nbdev_merge %O %A %B %P"
	@echo "git merges notebooks with nbdev_merge now; undo: git config --remove-section merge.nbdev-merge"

env:  ## make the environment in .venv; PETSC=wheel, conda or source says where PETSc comes from
	@tools/make_env.sh

clean:  ## remove what builds, tests and checkpoints leave behind; .venv and figures stay
	@rm -rf build dist *.egg-info .pytest_cache _docs _proc
	@find nbs sss_nb tests tools data \( -name __pycache__ -o -name .ipynb_checkpoints -o -name .last_checked \) -prune -exec rm -rf {} +
