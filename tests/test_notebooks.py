"""Every notebook runs, as nbdev_test runs it, at its small size, and leaves the checkout as it was."""
import json

import pytest
from house import NBS, NOTEBOOKS, ROOT, name, python, read, sources

RUN = '''
import sys
from pathlib import Path
from nbdev.config import get_config
from nbdev.test import test_nb
config = get_config()
passed, seconds = test_nb(Path(sys.argv[1]), skip_flags=config.tst_flags.split(), basepath=config.config_path)
sys.exit(0 if passed and seconds else 'not passed' if not passed else 'nothing ran')
'''

def state():
    "Size and time of every file that a notebook must leave alone."
    files = (p for d in ('nbs', 'sss_nb', 'figures', 'data') for p in (ROOT/d).rglob('*') if p.is_file())
    return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in files
            if '__pycache__' not in p.parts and '.ipynb_checkpoints' not in p.parts}

@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_notebook(path, tmp_path):
    before = state()
    done = python(RUN, path, MPLBACKEND='agg', IPYTHONDIR=str(tmp_path/'ipython'), TMPDIR=str(tmp_path),
                  SSS_NB_FIGURES=str(tmp_path), SSS_NB_FIGURE_SIZE='small', SSS_NB_BENCHMARK_SIZE='small',
                  # nothing is fetched: whatever goes to the network goes to a closed door
                  http_proxy='http://127.0.0.1:9', https_proxy='http://127.0.0.1:9')
    assert done.returncode == 0, f'{name(path)} failed\n{done.stdout[-2000:]}\n{done.stderr[-6000:]}'
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
