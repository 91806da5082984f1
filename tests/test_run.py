"""What `python -m sss_nb.run` does with several processes, and when one of them ends."""
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from house import ROOT

from sss_nb.pictures.files import save_image
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.result import SoftSegments


def command(photo, out, *words, processes=1):
    start = ['mpiexec', '-n', str(processes)]*(processes > 1)
    fixed = ['--features', 'classical', '--method', 'multilevel', '--working-pixels', '2500']
    return [*start, sys.executable, '-m', 'sss_nb.run', str(photo), '--out', str(out), *fixed, *words]

def run(*args, **kw): return subprocess.run(command(*args, **kw), capture_output=True, text=True, cwd=ROOT)

@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp('photo')/'scene.png'
    save_image(path, synthetic_scene((72, 100))[0])
    return path

@pytest.fixture(scope='module')
def alone(photo):
    out = photo.parent/'alone'
    done = run(photo, out)
    assert done.returncode == 0, done.stderr
    assert 'pixels: about' in done.stderr and '5 layers of 100 x 72 pixels' in done.stdout
    return SoftSegments.load(out)

def test_two_processes_find_the_same_layers(photo, alone):
    done = run(photo, photo.parent/'two', processes=2)
    assert done.returncode == 0, done.stderr
    two = SoftSegments.load(photo.parent/'two')
    assert two.alphas.shape == alone.alphas.shape and two.feature_source == alone.feature_source
    assert np.abs(two.alphas - alone.alphas).max() < 1e-4
    assert np.array_equal(two.superpixels, alone.superpixels)

def test_a_picture_no_larger_than_the_working_size(photo):
    "No level lies above it; the layers are the same all the same."
    for n in (1, 2):
        done = run(photo, photo.parent/f'whole{n}', '--working-pixels', '90000', processes=n)
        assert done.returncode == 0, done.stderr
    one, two = (SoftSegments.load(photo.parent/f'whole{n}').alphas for n in (1, 2))
    assert np.abs(one - two).max() < 1e-4

def test_the_same_bits_twice(photo, alone):
    "On the fast way, in two processes that know nothing of each other, with another number of threads."
    done = subprocess.run(command(photo, photo.parent/'again'), capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | {'OMP_NUM_THREADS': '2', 'OPENBLAS_NUM_THREADS': '2'})
    assert done.returncode == 0, done.stderr
    assert np.array_equal(SoftSegments.load(photo.parent/'again').alphas, alone.alphas)

@pytest.mark.parametrize('processes', [1, 2])
def test_errors_end_all(photo, processes):
    done = run(photo.parent/'none.png', photo.parent/'never', processes=processes)
    assert done.returncode != 0 and 'FileNotFoundError: expected an image' in done.stderr
    done = run(photo, photo.parent, processes=processes)
    assert done.returncode != 0 and 'FileExistsError' in done.stderr and '--overwrite' in done.stderr
    assert not (photo.parent/'never').exists()

def test_too_many_processes_and_too_little_memory(photo):
    done = run(photo, photo.parent/'never', processes=7)
    assert done.returncode != 0 and 'eight rows' in done.stderr
    done = run(photo, photo.parent/'never', '--max-memory', '.001')
    assert done.returncode != 0 and 'MemoryError: expected max_memory to be at least' in done.stderr
    assert not (photo.parent/'never').exists()

def test_words_that_cannot_be_meant(photo):
    "They are named as the user wrote them, and no message shows an object of ours."
    done = run(photo, photo.parent/'never', '--working-pixels', '5')
    assert done.returncode != 0 and 'expected --working-pixels to be' in done.stderr
    (photo.parent/'junk.jpg').write_bytes(b'junk'*50)
    done = run(photo.parent/'junk.jpg', photo.parent/'never')
    assert done.returncode != 0 and 'junk.jpg' in done.stderr and 'object at' not in done.stderr

def test_exact_needs_one_process(photo):
    done = run(photo, photo.parent/'never', '--method', 'exact', processes=2)
    assert done.returncode != 0 and 'use one process' in done.stderr

ONE_FAILS = '''
import sys
from sss_nb import relaxed
from sss_nb.run import main
from sss_nb.strips import Sharing
def broken(self, mat, x, y): raise MemoryError('no room on this one')
if Sharing().rank == 1: relaxed.LayerSystem.mult = broken
raise SystemExit(main(sys.argv[1:]))
'''

def test_one_that_fails_in_a_solve_ends_the_run(photo):
    "The others wait for it in the sums of conjugate gradients."
    words = command(photo, photo.parent/'never', processes=2)
    at = words.index('-m')
    words[at:at + 2] = ['-c', ONE_FAILS]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode != 0 and 'MemoryError: no room on this one' in done.stderr
    assert not (photo.parent/'never').exists()

def workers(parent):
    "The Python processes below this one."
    found = []
    for p in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if Path(p.name()).name.startswith('python') and 'sss_nb.run' in p.cmdline(): found.append(p)
    return found

@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT])
def test_one_that_dies_ends_the_run(tmp_path, number):
    "No folder is left that could be taken for a result."
    save_image(tmp_path/'scene.png', synthetic_scene((400, 600))[0])
    words = command(tmp_path/'scene.png', tmp_path/'out', '--working-pixels', '76800', processes=2)
    started = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        until = time.time() + 120
        while len(found := workers(started.pid)) < 2 and time.time() < until: time.sleep(.1)
        time.sleep(4)
        found[-1].send_signal(number)
        out, err = started.communicate(timeout=120)
    finally:
        for p in [*workers(started.pid), started] if started.poll() is None else []: p.kill()
    assert started.returncode != 0 and (out + err).strip()
    assert list(tmp_path.iterdir()) == [tmp_path/'scene.png']

GROWTH = '''
import sys
import numpy as np
import psutil
import scipy.sparse as sp
from sss_nb.petsc import PETSc
from sss_nb.relaxed import LayerSystem, solve_relaxed
from sss_nb.strips import Sharing, StripRows
if len(sys.argv) > 1: PETSc.garbage_cleanup = lambda comm: None
team, n = Sharing(), 20_000
rows = StripRows(sp.eye_array(2*n, format='csr')[n*team.rank:n*team.rank + n], n*team.rank, team)
a, memory = np.ones((n, 5)), psutil.Process().memory_info
def solves(times):
    for _ in range(times): solve_relaxed(LayerSystem(rows, np.ones((n, 5)), 100.), a + 100, a)
solves(5)
before = memory().rss
solves(30)
each = team.each(np.array(float(memory().rss - before)))
if team.rank == 0: print(int(each.max()))
'''

def grown(*words):
    "Bytes that two processes gain by thirty solves."
    command = ['mpiexec', '-n', '2', sys.executable, '-c', GROWTH, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)

def test_solves_of_several_processes_leave_no_memory_behind():
    "PETSc keeps what several processes share until all of them clean up together."
    assert grown() < 30e6 < grown('without')
