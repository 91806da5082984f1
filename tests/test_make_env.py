"""tools/make_env.sh without building: in a copy of the checkout, with programs that only record what they are asked."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from house import ROOT

FILES = ('constraints.txt', 'constraints-wheel.txt', 'pyproject.toml', 'environment.yml')

@pytest.fixture
def project(tmp_path):
    "A checkout with make_env.sh, and bin/, the only folder on PATH beside the system's."
    (tmp_path/'tools').mkdir()
    (tmp_path/'bin').mkdir()
    shutil.copy(ROOT/'tools/make_env.sh', tmp_path/'tools')
    for f in FILES: shutil.copy(ROOT/f, tmp_path)
    return tmp_path

def program(project, name, body):
    path = project/'bin'/name
    path.write_text(f'#!/bin/bash\n{body}\n')
    path.chmod(0o755)

def environ(project, **more):
    ours = ('CONDA', 'MAMBA', 'PIP_', 'ENV_DIR', 'PYTHON', 'MAKE', 'PETSC', 'TORCH', 'PYENV', 'MPI')
    keep = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return keep | dict(PATH=f'{project}/bin:/usr/bin:/bin', HOME=str(project)) | more

def make_env(project, **more):
    return subprocess.run(['bash', 'tools/make_env.sh'], cwd=project, env=environ(project, **more),
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)

# A conda that records its arguments and makes a prefix whose python says yes to every import.
CONDA = '''
echo "$(basename "$0") $*" >> calls
while [ $# -gt 0 ]; do case $1 in -p) prefix=$2;; esac; shift; done
[ -e "$prefix" ] && [ ! -d "$prefix/conda-meta" ] && { echo "Non-conda folder exists at prefix"; exit 1; }
mkdir -p "$prefix/conda-meta" "$prefix/bin"
printf '#!/bin/bash\\nexit 0\\n' > "$prefix/bin/python"; chmod +x "$prefix/bin/python"
[ ! -e fail ] || { echo "the network went away"; exit 1; }
'''

# A python that the wheel fits (not as python3 where there is a file too-old), makes environments of itself, and has a
# pip that fails or hangs in the step for which there is a file fail-STEP or hang-STEP.
FAKE_PYTHON = r'''
fail() { [ ! -e "fail-$1" ] || { cat "fail-$1"; exit 1; }; }
hang() { [ ! -e "hang-$1" ] || { echo $$ > child; exec sleep 300; }; }
reach() { echo "$1" >> calls; hang "$1"; fail "$1"; }
case "$*" in
  *_base_executable*) echo "$0";;
  *CS_GNU_LIBC_VERSION*) case "$0" in *3) [ ! -e too-old ] || cat too-old;; esac;;
  "-m venv"*) reach venv; mkdir -p "${@: -1}/bin"; touch "${@: -1}/pyvenv.cfg"; cp "$0" "${@: -1}/bin/python";;
  "-c import pip"|*"import sss_nb"*) ;;
  *urllib*) [ -e index ];;
  *--no-index*) [ ! -e no-torch-here ];;
  *setuptools*) reach tools;;
  *--require-hashes*) reach solver; mkdir -p "$(dirname "$0")/../lib/python3.12/site-packages/dolfinx_solver";;
  *--index-url*) reach torch;;
  *" uv") [ -e uv ] && cp uv "$(dirname "$0")/uv";;
  *"config get"*) [ ! -e "config-${@: -1}" ] || cat "config-${@: -1}";;
  *" -e "*) reach packages
    echo "${PETSC_DIR:-}${PETSC_ARCH:-}${SLEPC_DIR:-}${MPICC:-}${MPI4PY_LIBMPI:-}${PYTHONPATH:-}" >> inherited;;
  *) reach packages-of-a-copy; echo "$*" >> copied;;
esac
'''

@pytest.mark.parametrize('conda,create,update', [
    ('mamba', 'env create', 'env update'), ('conda', 'env create', 'env update'), ('micromamba', 'create', 'install')])
def test_conda_way(project, conda, create, update):
    program(project, conda, CONDA)
    program(project, 'python3', FAKE_PYTHON)
    (project/'too-old').write_text('python3 is Python 3.11.2')     # else the wheel would come first
    first = make_env(project)
    assert first.returncode == 0, first.stdout + first.stderr
    assert 'conda-forge' in first.stdout and 'Environment ready' in first.stdout
    second = make_env(project)
    assert (second.returncode, second.stdout, second.stderr) == (0, '', '')  # at once, and silent
    (project/'environment.yml').write_text((project/'environment.yml').read_text() + '\n# changed\n')
    assert make_env(project).returncode == 0
    end = f'-p {project}/.venv -f environment.yml'
    assert (project/'calls').read_text().splitlines() == [f'{conda} {create} {end}', f'{conda} {update} {end}']

def test_conda_way_goes_on_after_a_failure(project):
    program(project, 'mamba', CONDA)
    (project/'fail').touch()
    failed = make_env(project, PETSC='conda')
    assert failed.returncode == 1 and 'the network went away' in failed.stdout
    assert 'run the same command again' in failed.stderr
    (project/'fail').unlink()
    again = make_env(project)
    assert again.returncode == 0 and 'Environment ready' in again.stdout
    calls = (project/'calls').read_text().splitlines()
    assert [s.split()[1:3] for s in calls] == [['env', 'create'], ['env', 'update']]

def test_conda_refused(project):
    program(project, 'mamba', CONDA)
    assert make_env(project, PETSC='conda').returncode == 0
    (project/'environment.yml').write_text('changed')
    refused = make_env(project, CONDA='no')
    assert refused.returncode == 1 and 'made by conda' in refused.stderr

def test_a_folder_of_somebody_else_is_left_alone(project):
    (project/'.venv').mkdir()
    (project/'.venv/thesis.tex').write_text('precious')
    done = make_env(project, CONDA='no')
    assert done.returncode == 1 and 'is not an environment' in done.stderr
    assert (project/'.venv/thesis.tex').read_text() == 'precious'

def test_missing_system_packages_are_named(project):
    "Without compiler and root: which packages, for which system, and the other way."
    for tool in ('gcc', 'g++', 'make'): program(project, tool, 'exit 1')
    program(project, 'id', 'echo 1000')
    program(project, 'apt-get', 'echo "apt-get $*" >> calls')
    program(project, 'python3', f'exec {sys.executable} "$@"')
    done = make_env(project, PETSC='source')
    assert done.returncode == 1
    for word in ('libopenblas-dev', 'libsuitesparse-dev', 'apt-get install', 'dnf install', 'Miniforge', 'PETSC=wheel'):
        assert word in done.stdout, done.stdout
    assert not (project/'calls').exists()  # not root: nothing is installed
    assert not (project/'.venv.lock').exists()

def test_root_on_debian_installs_what_is_missing(project):
    program(project, 'gcc', '[ -e installed ]')
    program(project, 'id', 'echo 0')
    program(project, 'apt-get', 'echo "apt-get $*" >> calls; case $1 in install) touch installed;; esac')
    # A python that makes no environment, so that the run ends with the step after.
    program(project, 'python3', 'case "$*" in *_base_executable*) echo "$0";; '
                                '*"-m venv"*) echo "no venv today"; exit 1;; '
                                f'*) exec {sys.executable} "$@";; esac')
    done = make_env(project, PETSC='source')
    calls = (project/'calls').read_text()
    assert 'apt-get install -y --no-install-recommends' in calls and 'libopenblas-dev libsuitesparse-dev' in calls
    assert 'virtual environment' in done.stdout and 'no venv today' in done.stdout  # it went on
    assert done.returncode == 1

def started(project, **more):
    "make_env.sh in the step that writes the number of its process to `child`: its process, and that one's number."
    process = subprocess.Popen(['bash', 'tools/make_env.sh'], cwd=project, env=environ(project, **more), text=True,
                               stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.time() + 60
    while not (project/'child').exists() or not (project/'child').read_text().strip():
        assert time.time() < deadline and process.poll() is None
        time.sleep(.05)
    return process, int((project/'child').read_text())

def test_interrupted_and_locked(project):
    "An interrupt ends the children too; a second run meanwhile is told; afterwards the lock is gone."
    program(project, 'mamba', 'sleep 300 & echo $! > child; echo solving; wait')
    process, child = started(project, PETSC='conda')
    try:
        second = make_env(project)
        assert second.returncode == 1 and f'process {process.pid} is already making' in second.stderr
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    finally: process.kill()
    assert process.returncode == 130 and 'Interrupted. Run the same command again' in said
    assert not (project/'.venv.lock').exists()
    time.sleep(.2)
    assert not alive(child)
    program(project, 'mamba', CONDA)
    (project/'.venv.lock').mkdir()  # of a run that was killed with its lock
    (project/'.venv.lock/pid').write_text('999999999')
    assert make_env(project, PETSC='conda').returncode == 0

def alive(pid):
    try: return open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] != 'Z'
    except OSError: return False

# ------------------------------------------------------------------------------------- the wheel, and which way

def calls(project):
    "The steps that reached python since the last look."
    path = project/'calls'
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines

@pytest.fixture
def wheel(project):
    "A checkout on a machine that the wheel fits."
    program(project, 'python3', FAKE_PYTHON)
    return project

STEPS = ['tools', 'solver', 'packages']

def test_wheel_way_by_itself(wheel):
    "It comes first where it fits, says so and how to choose another; conda and gcc are not asked."
    for name in ('mamba', 'gcc'): program(wheel, name, f'touch asked-{name}; exit 1')
    done = make_env(wheel)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in ('binary wheel', 'PETSC=conda', 'PETSC=source', 'Environment ready'): assert word in done.stdout
    assert calls(wheel) == ['venv', *STEPS] and not list(wheel.glob('asked-*'))
    again = make_env(wheel)
    assert (again.returncode, again.stdout, again.stderr) == (0, '', '')
    (wheel/'pyproject.toml').write_text((wheel/'pyproject.toml').read_text() + '\n# changed\n')
    assert make_env(wheel).returncode == 0 and calls(wheel) == ['packages']        # the way that was begun

def test_an_older_python_takes_another_way(wheel):
    "Only the default python3 is looked at; PETSC=wheel looks for one that fits."
    (wheel/'too-old').write_text('python3 is Python 3.11.2')
    program(wheel, 'python3.12', FAKE_PYTHON)
    program(wheel, 'gcc', 'exit 1')
    program(wheel, 'id', 'echo 1000')
    source = make_env(wheel)
    assert source.returncode == 1 and 'PETSC=wheel and PETSC=conda are others, and faster' in source.stdout
    done = make_env(wheel, PETSC='wheel')
    assert done.returncode == 0 and f'{wheel}/bin/python3.12' in done.stdout

@pytest.mark.parametrize('more,words', [
    (dict(PETSC='wheel', PYTHON='python3'), ['glibc 2.34', 'Python 3.12', 'system has glibc 2.28', 'PETSC=source']),
    (dict(PETSC='conda', CONDA='no'), ['needs mamba', 'conda-forge.org/download']),
    (dict(PETSC='petsc'), ['PETSC=petsc is no way', 'PETSC=wheel'])])
def test_a_way_that_is_not_there(wheel, more, words):
    (wheel/'too-old').write_text('this system has glibc 2.28')
    done = make_env(wheel, **more)
    assert done.returncode == 1 and not calls(wheel)
    for word in words: assert word in done.stderr, done.stderr

@pytest.mark.parametrize('python', ['python3.13', 'python3.14'])
def test_newer_pythons(wheel, python):
    program(wheel, python, FAKE_PYTHON)
    done = make_env(wheel, PYTHON=python)
    assert done.returncode == 0 and f'virtual environment of {wheel}/bin/{python}' in done.stdout

def test_a_way_is_not_changed_halfway(wheel):
    assert make_env(wheel).returncode == 0
    done = make_env(wheel, PETSC='source')
    assert done.returncode == 1 and 'was made with PETSC=wheel' in done.stderr and 'ENV_DIR' in done.stderr
    shutil.rmtree(wheel/'.venv/lib')
    (wheel/'.venv/.stamp-petsc-1').touch()                 # an environment that was compiled
    done = make_env(wheel, PETSC='wheel')
    assert done.returncode == 1 and 'was made with PETSC=source' in done.stderr

# -------------------------------------------------------------------------------------------- bad conditions

@pytest.mark.parametrize('log,advice', [
    ('OSError: [Errno 28] No space left on device', 'The disk is full'),
    ('ReadTimeoutError: HTTPSConnectionPool(host=...): Read timed out.', 'HTTPS_PROXY'),
    ('urllib3 IncompleteRead(1024 bytes read, 9000 more expected)', 'what came whole is kept'),
    ('SSLError(SSLCertVerificationError(1, certificate verify failed))', 'PIP_CERT'),
    ('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.', 'cut short or changed'),
    ('PermissionError: [Errno 13] Permission denied: /x', 'cannot be written'),
    ('ERROR: No matching distribution found for torch==2.13.0', 'no wheel for this Python')])
def test_a_failed_step_says_what_to_do(wheel, log, advice):
    (wheel/'fail-tools').write_text(log)
    done = make_env(wheel)
    assert done.returncode == 1 and log in done.stdout and advice in done.stdout
    assert 'run the same command again' in done.stderr and not (wheel/'.venv.lock').exists()

@pytest.mark.parametrize('step', STEPS)
def test_a_run_after_a_failed_step_goes_on_with_it(wheel, step):
    (wheel/f'fail-{step}').write_text('No space left on device')
    assert make_env(wheel).returncode == 1
    (wheel/f'fail-{step}').unlink()
    calls(wheel)
    assert make_env(wheel).returncode == 0 and calls(wheel) == STEPS[STEPS.index(step):]

@pytest.mark.parametrize('step', ['venv', *STEPS])
def test_interrupted_at_each_step(wheel, step):
    (wheel/f'hang-{step}').touch()
    process, child = started(wheel)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and 'Run the same command again' in said
    time.sleep(.2)
    assert not alive(child) and not (wheel/'.venv.lock').exists()
    (wheel/f'hang-{step}').unlink()
    calls(wheel)
    again, order = make_env(wheel), ['venv', *STEPS]
    assert again.returncode == 0 and calls(wheel) == order[order.index(step):]

def test_too_little_space(wheel):
    program(wheel, 'df', r'printf "Filesystem 1024-blocks Used Available\n/dev/x 9 9 1100000 99%% /\n"')
    done = make_env(wheel)
    assert done.returncode == 1 and re.search(r'needs \d GB and .* has 1 GB left', done.stderr) and not calls(wheel)

def test_a_folder_that_cannot_be_written(wheel):
    done = make_env(wheel, ENV_DIR='constraints.txt/env')
    assert done.returncode == 1 and 'cannot be written' in done.stderr and 'ENV_DIR=$HOME' in done.stderr

def test_a_checkout_that_may_only_be_read(wheel, tmp_path_factory):
    "With an environment elsewhere; the package is installed from a copy, since pip would write into the checkout."
    for f in ('README.md', 'LICENSE'): shutil.copy(ROOT/f, wheel)
    for d in ('sss_nb', 'data'): (wheel/d).mkdir()
    elsewhere = tmp_path_factory.mktemp('elsewhere')
    for f in ('calls', 'copied'): (wheel/f).symlink_to(elsewhere/f)
    command = 'mount --bind . . && cd "$PWD" && mount -o remount,ro,bind . && exec bash tools/make_env.sh'
    done = subprocess.run(['unshare', '--mount', 'bash', '-c', command], cwd=wheel, capture_output=True, text=True,
                          env=environ(wheel, ENV_DIR=str(elsewhere/'env'), TMPDIR=str(elsewhere)), timeout=120)
    if 'unshare' in done.stderr or 'mount:' in done.stderr: pytest.skip('needs root, to mount')
    assert done.returncode == 0, done.stdout + done.stderr
    assert (elsewhere/'calls').read_text().split() == ['venv', 'tools', 'solver', 'packages-of-a-copy']
    assert '[dev]' in (elsewhere/'copied').read_text() and not list(elsewhere.glob('tmp.*'))

@pytest.mark.parametrize('folder', ['Größe & Maß', "l'été 2026"])
def test_a_path_with_spaces_and_umlauts(wheel, folder):
    other = wheel/folder
    other.mkdir()
    for name in ('bin', 'tools', *FILES): (wheel/name).rename(other/name)
    assert make_env(other).returncode == 0 and calls(other) == ['venv', *STEPS]
    shutil.rmtree(other/'.venv')
    for name in ('gcc', 'g++', 'make'): program(other, name, 'exit 0')
    refused = make_env(other, PETSC='source')
    assert refused.returncode == 1 and 'path has a space' in refused.stderr and 'PETSC=wheel' in refused.stderr

def test_another_mpi_and_petsc_in_the_environment(wheel):
    more = dict(PETSC_DIR='/opt/petsc', PETSC_ARCH='arch', SLEPC_DIR='/opt/slepc', PYTHONPATH='/opt/petsc/lib',
                MPICC='/opt/openmpi/bin/mpicc', MPI4PY_LIBMPI='/opt/openmpi/lib/libmpi.so')
    assert make_env(wheel, **more).returncode == 0
    assert (wheel/'inherited').read_text() == '\n'

@pytest.mark.skipif(os.path.exists('/dev/nvidiactl') or os.path.exists('/dev/dxg'), reason='this machine has a GPU')
@pytest.mark.parametrize('index,gpu,asked,steps,said', [
    (True, False, '', ['torch', 'packages'], 'torch without CUDA, since no GPU was found'),
    (False, False, '', ['packages'], 'more than 2 GB. No GPU was found'),
    (True, True, '', ['packages'], 'more than 2 GB, since this machine has a GPU'),
    (True, True, 'cpu', ['torch', 'packages'], 'torch without CUDA'),
    (True, False, 'cuda', ['packages'], 'more than 2 GB')])
def test_torch_without_cuda_where_there_is_no_gpu(wheel, index, gpu, asked, steps, said):
    (wheel/'no-torch-here').touch()
    if index: (wheel/'index').touch()
    program(wheel, 'nvidia-smi', f'exit {int(not gpu)}')
    done = make_env(wheel, TORCH=asked)
    assert done.returncode == 0 and calls(wheel) == ['venv', 'tools', 'solver', *steps]
    assert said in done.stdout and done.stdout.index(said) < done.stdout.index('Python packages')

# ----------------------------------------------------------------------------------------------------- uv

UV = r'''#!/bin/bash
echo "uv $*" >> calls; echo "${UV_DEFAULT_INDEX:-} ${UV_FIND_LINKS:-} ${SSL_CERT_FILE:-}" >> asked
[ ! -e uv-hangs ] || { echo $$ > child; exec sleep 300; }
[ ! -e uv-fails ] || { echo "error: no index"; exit 2; }
'''

@pytest.fixture
def with_uv(wheel):
    (wheel/'uv').write_text(UV)
    (wheel/'uv').chmod(0o755)
    return wheel

def test_uv_installs_the_packages(with_uv):
    "uv gets what pip would, and pip does not install them once more; the second time nothing is done."
    done = make_env(with_uv)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = (with_uv/'calls').read_text().splitlines()
    assert re.fullmatch(r'uv pip install --python .* -e \.\[dev\]', asked[-1]) and 'packages' not in asked
    again = make_env(with_uv)
    assert again.stdout == '' and (with_uv/'calls').read_text().splitlines() == asked

def test_uv_asks_where_pip_asks(with_uv):
    "An index, a folder of wheels and a certificate that pip was told of are uv's, too."
    (with_uv/'wheels').mkdir()
    for name, said in (('index-url', 'https://mirror/simple'), ('find-links', with_uv/'wheels'), ('cert', '/ca.pem')):
        (with_uv/f'config-global.{name}').write_text(f'{said}\n')
    assert make_env(with_uv, SSL_CERT_FILE='').returncode == 0
    assert (with_uv/'asked').read_text().split() == ['https://mirror/simple', str(with_uv/'wheels'), '/ca.pem']

def test_pip_takes_over_from_uv(with_uv):
    (with_uv/'uv-fails').touch()
    done = make_env(with_uv)
    assert done.returncode == 0 and calls(with_uv)[-1] == 'packages'
    assert 'error: no index' in (with_uv/'.venv-log/packages.log').read_text()

def test_an_interrupted_uv_is_not_followed_by_pip(with_uv):
    (with_uv/'uv-hangs').touch()
    process, child = started(with_uv)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130 and 'packages' not in calls(with_uv)
    (with_uv/'uv-hangs').unlink()
    assert make_env(with_uv).returncode == 0
