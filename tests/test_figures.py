"""The figures of this machine are those that were committed: `make figures` changes no picture."""
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from house import FIGURES, ROOT
from PIL import Image


@pytest.mark.parametrize('stem', ['fig02_pipeline', 'fig05_eigenvectors'])
def test_figure_is_the_committed_one(stem, tmp_path):
    "Of its pixels 99.9 % differ by at most 2 of 255 levels, with the kernels of BLAS that drew the committed one."
    env = {k: v for k, v in os.environ.items() if k != 'SSS_NB_FIGURE_SIZE'}
    env |= dict(SSS_NB_FIGURES=str(tmp_path), OPENBLAS_CORETYPE='Haswell')
    done = subprocess.run([sys.executable, ROOT/'tools/make_figures.py', stem], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made, committed = (np.asarray(Image.open(folder/f'{stem}.png').convert('RGB'), int)
                       for folder in (tmp_path, ROOT/'figures'))
    assert made.shape == committed.shape and np.quantile(abs(made - committed), .999) <= 2

FIGURES_TOOL = runpy.run_path(str(ROOT/'tools/make_figures.py'))

def test_quick_and_beautiful_figures_come_first():
    order = [p.stem.split('_')[0] for p in FIGURES_TOOL['choose']([])]
    assert order[0] == 'fig01' and order[-1] == 'fig04' and len(set(order)) == len(order) == len(FIGURES)
    some = FIGURES_TOOL['choose'](['fig04', 'fig07', 'fig01'])
    assert [p.stem.split('_')[0] for p in some] == ['fig01', 'fig07', 'fig04']

def test_the_page_is_written_after_each_figure(tmp_path):
    "Two figures: when the second begins, the page shows the first; one that fails leaves the page as it was."
    main, seen = FIGURES_TOOL['make_all'], []

    def make(path, folder, args, status):
        seen.append((folder/'index.html').read_text() if (folder/'index.html').exists() else '')
        if path.stem.startswith('fig07'): raise ValueError('no memory')
        (folder/f'{path.stem}.png').touch()
        return [f'{path.stem}.png']

    chosen = FIGURES_TOOL['choose'](['fig01', 'fig02', 'fig07'])
    was = main.__globals__['make']
    main.__globals__['make'] = make
    try: failed = main(chosen, tmp_path, None)
    finally: main.__globals__['make'] = was
    assert failed == [chosen[2].stem] and [p.stem.split('_')[0] for p in chosen] == ['fig01', 'fig02', 'fig07']
    shown = [[f'src="{p.stem}.png"' in page for p in chosen[:2]] for page in seen]
    assert shown == [[False, False], [True, False], [True, True]]
