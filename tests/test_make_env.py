"""tools/make_env.sh without building: in a copy of the checkout, with programs that only record what they are asked."""
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from house import ROOT


@pytest.fixture
def project(tmp_path):
    "A checkout with make_env.sh, and bin/, the only folder on PATH beside the system's."
    (tmp_path/'tools').mkdir()
    (tmp_path/'bin').mkdir()
    shutil.copy(ROOT/'tools/make_env.sh', tmp_path/'tools')
    for f in ('constraints.txt', 'pyproject.toml', 'environment.yml'): shutil.copy(ROOT/f, tmp_path)
    return tmp_path

def program(project, name, body):
    path = project/'bin'/name
    path.write_text(f'#!/bin/bash\n{body}\n')
    path.chmod(0o755)

def environ(project, **more):
    ours = ('CONDA', 'MAMBA', 'PIP_', 'ENV_DIR', 'PYTHON', 'MAKE')
    keep = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return keep | dict(PATH=f'{project}/bin:/usr/bin:/bin') | more

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

@pytest.mark.parametrize('conda,create,update', [
    ('mamba', 'env create', 'env update'), ('conda', 'env create', 'env update'), ('micromamba', 'create', 'install')])
def test_conda_way(project, conda, create, update):
    program(project, conda, CONDA)
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
    failed = make_env(project)
    assert failed.returncode == 1 and 'the network went away' in failed.stdout
    assert 'run the same command again' in failed.stderr
    (project/'fail').unlink()
    again = make_env(project)
    assert again.returncode == 0 and 'Environment ready' in again.stdout
    calls = (project/'calls').read_text().splitlines()
    assert [s.split()[1:3] for s in calls] == [['env', 'create'], ['env', 'update']]

def test_conda_refused(project):
    program(project, 'mamba', CONDA)
    assert make_env(project).returncode == 0
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
    done = make_env(project, CONDA='no')
    assert done.returncode == 1
    for word in ('libopenblas-dev', 'libsuitesparse-dev', 'apt-get install', 'dnf install', 'Miniforge'):
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
    done = make_env(project, CONDA='no')
    calls = (project/'calls').read_text()
    assert 'apt-get install -y --no-install-recommends' in calls and 'libopenblas-dev libsuitesparse-dev' in calls
    assert 'virtual environment' in done.stdout and 'no venv today' in done.stdout  # it went on
    assert done.returncode == 1

def test_interrupted_and_locked(project):
    "An interrupt ends the children too; a second run meanwhile is told; afterwards the lock is gone."
    program(project, 'mamba', 'sleep 300 & echo $! > child; echo solving; wait')
    process = subprocess.Popen(['bash', 'tools/make_env.sh'], cwd=project, env=environ(project), text=True,
                               stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    try:
        deadline = time.time() + 30
        while not (project/'child').exists() or not (project/'child').read_text().strip():
            assert time.time() < deadline and process.poll() is None
            time.sleep(.05)
        child = int((project/'child').read_text())
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
    assert make_env(project).returncode == 0

def alive(pid):
    try: return open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[0] != 'Z'
    except OSError: return False
