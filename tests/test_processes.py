"""What needs processes of its own: the same result twice, and tools/make_figures.py, interrupted and not."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from house import ROOT, python

PIPELINE = '''
import hashlib, sys, numpy as np
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.pipeline import semantic_soft_segmentation
image, _ = synthetic_scene(64)
segments = semantic_soft_segmentation(image, sys.argv[1], seed=3, progress=False)
assert np.allclose(segments.alphas.sum(-1), 1)
later = segments.with_layers(3), segments.split(0), segments.merge([0, 1])
for a in (*(s.alphas for s in (segments, *later)), segments.pick([(32, 32)], [(1, 1)]).matte):
    print(a.shape, hashlib.sha256(np.ascontiguousarray(a)).hexdigest())
'''

@pytest.mark.parametrize('features', ['default', 'classical'])
def test_two_processes_give_identical_alphas(features):
    "Also with another number of threads, and what is asked of the result afterwards."
    first, second = (python(PIPELINE, features, OMP_NUM_THREADS=n, OPENBLAS_NUM_THREADS=n) for n in '12')
    assert first.returncode == 0, first.stderr
    assert first.stdout and first.stdout == second.stdout

# ------------------------------------------------------------------------------------------- make_figures.py

PICTURE = '''from pathlib import Path
import os
words = 'new picture, ' + os.environ['SSS_NB_FIGURE_SIZE']
Path(os.environ['SSS_NB_FIGURES'], '{stem}.png').write_text(words)'''

@pytest.fixture
def project(tmp_path):
    "A folder with make_figures.py, three figure notebooks (one fails, one takes for ever) and an old picture of each."
    for d in ('tools', 'nbs/figures', 'figures'): (tmp_path/d).mkdir(parents=True)
    shutil.copy(ROOT/'tools/make_figures.py', tmp_path/'tools')
    shutil.copy(ROOT/'settings.ini', tmp_path)
    md, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    for stem, title, last in (('fig01_fails', 'Fails', '1/0'), ('fig02_works', 'Works & <shows>', '2*3*7'),
                              ('fig03_hangs', 'Hangs', 'import time\ntime.sleep(600)')):
        caption = r'**Caption.** The $\alpha_{ij}$ of *this*, see [notes](../00_data.ipynb).'
        cells = [md(f'# {title}\n\n> A test.'), code(PICTURE.replace('{stem}', stem)), code(last),
                 code("#| table\nprint('a <b>\\n1   2')"), md(caption)]
        nb = nbformat.v4.new_notebook(cells=cells)
        nbformat.write(nb, tmp_path/f'nbs/figures/{stem}.ipynb')
        (tmp_path/f'figures/{stem}.png').write_bytes(b'old picture')
    (tmp_path/'figures/index.html').write_text('old page')
    return tmp_path

def command(project, *args): return [sys.executable, str(project/'tools/make_figures.py'), *args]

def without(**more):
    "The environment, without what the tests or the user set for the figures."
    return {k: v for k, v in os.environ.items() if not k.startswith('SSS_NB_')} | more

def figures(project):
    folder = project/'figures'
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*') if p.is_file()}

def test_make_figures_reports_a_failure_and_makes_the_others(project):
    notebooks = {p: p.read_bytes() for p in (project/'nbs/figures').iterdir()}
    call = command(project, 'fig01', 'fig02', '--size', 'small')
    done = subprocess.run(call, capture_output=True, text=True, env=without())
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'ZeroDivisionError' in done.stdout and 'failed: fig01_fails' in done.stdout and '1 of 2 made' in done.stdout
    made = figures(project)
    assert made['fig01_fails.png'] == b'old picture' and made['fig02_works.png'] == b'new picture, small'
    assert made.keys() == {'fig01_fails.png', 'fig02_works.png', 'fig02_works.txt', 'fig03_hangs.png', 'index.html'}
    page = made['index.html'].decode()
    assert 'Works &amp; &lt;shows&gt;</h2>' in page and 'α<sub>ij</sub>' in page and '<i>this</i>' in page
    assert 'href="../nbs/00_data.ipynb"' in page and 'href="../nbs/figures/fig02_works.ipynb"' in page
    assert made['fig02_works.txt'] == b'a <b>\n1   2\n' and '<pre>a &lt;b&gt;\n1   2</pre>' in page
    assert 'alt="Works &amp; &lt;shows&gt;. The αij of this, see notes"' in page
    assert {p: p.read_bytes() for p in notebooks} == notebooks  # without --inplace no notebook is written

def test_make_figures_stores_outputs_in_place(project):
    path = project/'nbs/figures/fig02_works.ipynb'
    done = subprocess.run(command(project, 'fig02', '--inplace'), capture_output=True, text=True, env=without())
    assert done.returncode == 0, done.stdout + done.stderr
    stored = nbformat.read(path, as_version=4)
    assert stored.cells[2].outputs[0]['data']['text/plain'] == '42'
    assert stored.cells[2].execution_count is None  # cleaned
    assert figures(project)['fig02_works.png'] == b'new picture, full'

def test_make_figures_knows_its_figures(project):
    done = subprocess.run(command(project, 'fig9'), capture_output=True, text=True, env=without())
    assert done.returncode == 1 and 'fig01_fails, fig02_works, fig03_hangs' in done.stderr

@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_make_figures_interrupted(project, number):
    "figures/ stays as it was, nothing half-written is left, and the kernel is gone."
    before = figures(project)
    with subprocess.Popen(command(project, 'fig03'), stdout=subprocess.PIPE, text=True, env=without()) as process:
        deadline = time.time() + 60
        while not list((project/'figures').glob('.making-*/pictures/*.png')):  # until it is in the middle
            assert time.time() < deadline and process.poll() is None, 'it never came to its picture'
            time.sleep(.1)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and 'Interrupted' in said and 'Traceback' not in said
    assert figures(project) == before and not list((project/'figures').glob('.making-*'))
    assert not [p for p in processes() if str(project) in p]

def processes():
    "The environment of every process that can be read; a kernel carries the folder of its pictures in it."
    from pathlib import Path
    for p in Path('/proc').glob('[0-9]*/environ'):
        try: yield p.read_bytes().decode(errors='replace')
        except OSError: pass

# ------------------------------------------------------------------------------------------------ make hooks

def test_hooks_merge_notebooks_cell_by_cell(tmp_path):
    "Two branches change one cell: git alone leaves broken JSON, the merge driver a notebook with both cells."
    for f in ('Makefile', 'constraints.txt', 'pyproject.toml', 'environment.yml', 'settings.ini', '.gitattributes'):
        shutil.copy(ROOT/f, tmp_path)
    shutil.copytree(ROOT/'tools', tmp_path/'tools')
    me = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
    def git(*args): subprocess.run(['git', *me, *args], cwd=tmp_path, check=True)
    def write(first, last):
        cells = [nbformat.v4.new_code_cell(s, id=f'cell{k}') for k, s in enumerate((first, 'same', last))]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path/'a.ipynb')
    def commit(first, last):
        write(first, last)
        git('commit', '-qam', 'a change')
    git('init', '-q', '-b', 'main')
    write('one', 'three')
    git('add', '.')
    git('commit', '-qm', 'begin')
    hooks = ['make', '-o', 'env', 'hooks', f'ENV_DIR={sys.prefix}']      # -o: no environment is made here
    subprocess.run(hooks, cwd=tmp_path, check=True, capture_output=True)
    git('checkout', '-qb', 'other')
    commit('uno', 'three')
    git('checkout', '-q', 'main')
    commit('ein', 'three')
    merge = subprocess.run(['git', *me, 'merge', '--no-edit', 'other'], cwd=tmp_path, capture_output=True, text=True)
    assert merge.returncode and 'CONFLICT' in merge.stdout, merge.stdout + merge.stderr
    merged = [''.join(c['source']) for c in json.loads((tmp_path/'a.ipynb').read_text())['cells']]
    assert {'uno', 'ein', 'same', 'three'} <= set(merged), merged

# ------------------------------------------------------------------------------------------- Ctrl-C

INTERRUPTED = '''
import os, signal, sys, threading, time
import numpy as np
from dataclasses import replace
from sss_nb import pipeline
from sss_nb.params import STABLE
from sss_nb.pictures.scene import synthetic_scene

signal.signal(signal.SIGINT, signal.default_int_handler)    # a job in the background of a shell ignores it
image, _ = synthetic_scene((150, 200))
few = replace(STABLE, working_pixels=12_000, method='multilevel', eigenvectors=40)
target = None

class Watched(pipeline.Stages):
    def __call__(self, name):
        if name == target: threading.Timer(.01, os.kill, (os.getpid(), signal.SIGINT)).start()
        return super().__call__(name)

pipeline.Stages = Watched
def run(): return pipeline.semantic_soft_segmentation(image, 'classical', params=few, progress=False)
before = run()
for target in list(before.timings):
    try:
        run()
        time.sleep(.5)
        print('not interrupted in', target)
    except KeyboardInterrupt: print('interrupted in', target)
target = None
assert np.array_equal(run().alphas, before.alphas)
print('the same afterwards')
'''

def test_ctrl_c_in_every_stage_of_the_fast_way():
    "It ends the run, whatever it does at that moment, and the next run is as if nothing had been."
    done = python(INTERRUPTED)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == 'the same afterwards' and len(lines) > 11, done.stdout
    assert not [line for line in lines if line.startswith('not')], done.stdout
