"""The figures of this machine are those that were committed: `make figures` changes no picture."""
import os
import subprocess
import sys

import numpy as np
import pytest
from house import ROOT
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
