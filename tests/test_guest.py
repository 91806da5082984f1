"""A library is a guest in its process: signals, forks, threads, memory. Each test has failed on version 0.1."""
import multiprocessing
import os
import subprocess
import sys

import pytest
from house import python

ALIVE = '''
import os, signal, socket, subprocess, sys
handlers = {s: signal.getsignal(s) for s in signal.Signals}
import sss_nb.pipeline
assert {s: signal.getsignal(s) for s in signal.Signals} == handlers
subprocess.run(['true'], input=b'x'*10**6)                  # a closed pipe
a, b = socket.socketpair()
b.close()
try: a.sendall(b'x'*10**6)                                  # a closed socket
except OSError: pass
signal.signal(signal.SIGTERM, lambda *_: print('handler'))
os.kill(os.getpid(), signal.SIGTERM)
print('alive', sys.argv[1:])
'''

def test_signals_stay_with_the_program():
    done = python(ALIVE, '-info', '-log_view')               # nor does PETSc read the program's arguments
    assert done.stdout.split('\n')[:2] == ['handler', "alive ['-info', '-log_view']"], done.stdout + done.stderr
    assert done.returncode == 0

def test_own_handler_set_before_the_import():
    code = 'import os, signal; signal.signal(signal.SIGTERM, lambda *_: print("mine"))\n'
    done = python(code + 'import sss_nb.pipeline; os.kill(os.getpid(), signal.SIGTERM); print("end")')
    assert done.stdout == 'mine\nend\n', done.stdout + done.stderr

RUN = '''
import numpy as np
from sss_nb.params import OFFICIAL
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.pipeline import semantic_soft_segmentation
from dataclasses import replace
PARAMS = replace(OFFICIAL, superpixels=100, eigenvectors=20, clusters=10)

def run(seed=0):
    image = synthetic_scene(48)[0]
    segments = semantic_soft_segmentation(image, 'classical', params=PARAMS, progress=False, seed=seed)
    return segments.alphas.sum(0).tolist()
'''

FORK = RUN + '''
import os, sys
mine = run()
child = os.fork()
if child == 0:
    same = run() == mine
    {leave}
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert run() == mine
'''

@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork on this system')
@pytest.mark.parametrize('leave', ['os._exit(not same)', 'sys.exit(not same)'])
def test_forked_child_ends_with_the_same_layers(leave):
    done = python(FORK.replace('{leave}', leave), timeout=200)
    assert done.returncode == 0 and done.stdout.endswith('0\n'), done.stdout + done.stderr

POOL = RUN + '''
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
if __name__ == '__main__':
    mine = run()
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[1])) as pool:
        assert list(pool.map(run, [0, 0, 0])) == [mine]*3
    print('the same')
'''

@pytest.mark.parametrize('method', multiprocessing.get_all_start_methods())
def test_process_pools(method, tmp_path):
    (tmp_path/'program.py').write_text(POOL)
    done = subprocess.run([sys.executable, tmp_path/'program.py', method], capture_output=True, text=True, timeout=300)
    assert done.stdout == 'the same\n', done.stderr

THREADS = RUN + '''
from concurrent.futures import ThreadPoolExecutor
mine = run()
with ThreadPoolExecutor(2) as pool: assert list(pool.map(run, [0]*4)) == [mine]*4
print('the same')
'''

def test_threads():
    done = python(THREADS, timeout=300)
    assert done.stdout == 'the same\n', done.stderr

LEAK = '''
import gc, psutil
from dataclasses import replace
from sss_nb.eigen import smallest_eigenpairs
from sss_nb.params import OFFICIAL
from sss_nb.pictures.files import load_image
from sss_nb.pictures.registry import fetch
from sss_nb.pipeline import semantic_soft_segmentation
few = replace(OFFICIAL, relaxed_iterations=0, constrained_iterations=1)
L = semantic_soft_segmentation(load_image(fetch('astronaut'), max_size=128), progress=False, params=few).laplacian
sizes = []
for _ in range(9):
    smallest_eigenpairs(L, 20, shift=-1e-4)        # several shifts fail
    gc.collect()
    sizes.append(psutil.Process().memory_info().rss)
print((sizes[-1] - sizes[2])/1e6)
'''

def test_failed_shifts_leave_no_memory_behind():
    done = python(LEAK, timeout=300)
    assert done.returncode == 0 and float(done.stdout) < 5, done.stdout + done.stderr
