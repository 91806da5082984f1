"""Every notebook runs, as nbdev_test runs it, at its small size, and leaves the checkout as it was."""
import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from house import NBS, NOTEBOOKS, ROOT, name, read, sources

# Each notebook has a process of its own, forked from one that has imported what takes long and starts no threads.
PROCESSES = multiprocessing.get_context('forkserver')
PROCESSES.set_forkserver_preload(['nbdev.test', 'scipy.sparse.linalg', 'skimage.color', 'skimage.segmentation',
                                  'torch'])

def run(path, environment, printed):
    "Run the notebook in this process, with its output in the file `printed`, and end it: 0 if it passed."
    os.environ.update(environment)
    tempfile.tempdir = None
    for number in (1, 2): os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.chdir(ROOT)
    from nbdev.config import get_config
    from nbdev.test import test_nb
    config = get_config()
    passed, seconds = test_nb(Path(path), skip_flags=config.tst_flags.split(), basepath=config.config_path)
    sys.exit(0 if passed and seconds else 'not passed' if not passed else 'nothing ran')

def state():
    "Size and time of every file that a notebook must leave alone."
    files = (p for d in ('nbs', 'sss_nb', 'figures', 'data') for p in (ROOT/d).rglob('*') if p.is_file())
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in files
            if '__pycache__' not in p.parts and '.ipynb_checkpoints' not in p.parts}

@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_notebook(path, tmp_path):
    before = state()
    environment = dict(
        MPLBACKEND='agg', IPYTHONDIR=str(tmp_path/'ipython'), TMPDIR=str(tmp_path), SSS_NB_FIGURES=str(tmp_path),
        SSS_NB_FIGURE_SIZE='small', SSS_NB_BENCHMARK_SIZE='small',
        # nothing is fetched: whatever goes to the network goes to a closed door
        http_proxy='http://127.0.0.1:9', https_proxy='http://127.0.0.1:9')
    printed = tmp_path/'printed.txt'
    process = PROCESSES.Process(target=run, args=(path, environment, printed))
    process.start()
    process.join(600)
    if process.is_alive():
        for p in [*psutil.Process(process.pid).children(recursive=True), process]: p.kill()
        process.join()
    assert process.exitcode == 0, f'{name(path)} failed\n{printed.read_text()[-8000:]}'
    after = state()
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    assert not changed, f'{name(path)} wrote into the checkout: {sorted(map(str, changed))}'
    if path.parent == NBS/'figures': assert list(tmp_path.glob(f'{path.stem}*.png')), f'{name(path)} made no picture'

def test_no_cell_is_skipped_in_silence():
    "A cell may be left out of the tests (notest, eval: false) only with a comment that says why."
    for path in NOTEBOOKS:
        for source in sources(read(path), 'code'):
            directives = [s for s in source.splitlines() if s.startswith('#|')]
            left_out = any(s.replace(' ', '').lower().startswith(('#|notest', '#|eval:false')) for s in directives)
            assert not left_out or any(s.startswith('# ') for s in source.splitlines()), f'{name(path)}:\n{source}'
        assert 'skip_exec' not in json.dumps(read(path)['cells'][:2]), name(path)
    assert not list(NBS.rglob('.notest'))
