#!/usr/bin/env bash
# Build the site in _docs from the notebooks as they are stored. Nothing is executed and no solver is needed: what the
# extra `docs` of pyproject.toml names goes into an environment of its own, once.
#
#   DOCS_ENV=.venv-docs ...      that environment
#   PYTHON=python3.12 ...        the Python to make it with (3.11 or newer)
#   OFFLINE_FILE=tex-svg-full.js ...  MathJax 3 from a file, where there is no npm
set -euo pipefail
cd "$(dirname "$0")/.."
env_dir=${DOCS_ENV:-.venv-docs}
unset PYTHONPATH PYTHONHOME
say()  { printf '%s\n' "$*"; }
fail() { printf 'make docs: %s\n' "$*" >&2; exit 1; }

find_python() {
  local p
  for p in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    "$p" -c 'import sys, venv, ensurepip; sys.version_info < (3, 11) and sys.exit(1); print(sys._base_executable)' \
      2>/dev/null && return
  done
  return 1
}

# --- the environment ---------------------------------------------------------------------------
stamp=$env_dir/.stamp-docs-$(cat constraints.txt pyproject.toml | cksum | tr ' ' '-')
if [ ! -e "$stamp" ]; then
  if [ -d "$env_dir" ] && [ ! -e "$env_dir/pyvenv.cfg" ]; then
    rmdir "$env_dir" 2>/dev/null || fail "$env_dir is there and is not an environment; name another with DOCS_ENV"
  fi
  if ! "$env_dir/bin/python" -c 'import pip' 2>/dev/null; then
    python=$(find_python) || fail "no Python 3.11 or newer with venv was found; name one with PYTHON=/path/to/python"
    say "Making the environment of the site in $env_dir: about a minute, once"
    "$python" -m venv --clear "$env_dir"
  fi
  "$env_dir/bin/python" -c 'import tomllib
with open("pyproject.toml", "rb") as f: print(*tomllib.load(f)["project"]["optional-dependencies"]["docs"], sep="\n")
' > "$env_dir/docs.txt"
  "$env_dir/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -r "$env_dir/docs.txt" ||
    fail "pip could not install what is in $env_dir/docs.txt; see above, and run the same command again"
  rm -f "$env_dir"/.stamp-docs-*
  touch "$stamp"
fi

# --- MathJax 3 with its fonts, in one file; kept in .from_npm -------------------------------------
mathjax=.from_npm/tex-svg-full.js
tools/from_npm.sh mathjax 3.2.2 es5/tex-svg-full.js \
  a4354ff94fd868aea0cc6eaaa79a57fda0588646fc46ee3700a349ee0a11cbe6 $mathjax
mkdir -p _proc/static/mathjax
cp $mathjax _proc/static/mathjax

# --- the site ----------------------------------------------------------------------------------
"$env_dir/bin/python" tools/stage_docs.py
"$env_dir/bin/python" -m sphinx -b html -W --keep-going -q -c docs -d _proc/doctrees _proc/source _proc/html || {
  rm -rf _proc/doctrees  # else the next build would not read the pages again, and say nothing
  fail "the site has warnings, which are errors here; they are above"
}
rm -rf _docs
cp -R _proc/html _docs
say "The site is in _docs/index.html"
