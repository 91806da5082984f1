"""The layers do not depend on who factors the matrices: CHOLMOD or MUMPS, compiled, from conda or from a wheel."""
import os
import platform
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from house import ROOT
from PIL import Image

from sss_nb import eigen
from sss_nb.params import STABLE
from sss_nb.pipeline import outweighed, semantic_soft_segmentation

LAYERS = '''if True:
    import sys

    import numpy as np

    from sss_nb import eigen
    from sss_nb.pictures.files import load_image
    from sss_nb.pictures.registry import fetch
    from sss_nb.pipeline import semantic_soft_segmentation
    package, method, where = sys.argv[1:]
    eigen._package = lambda size: package
    image = load_image(fetch('astronaut'), max_size=120)
    np.save(where, semantic_soft_segmentation(image, 'classical', method=method, progress=False).alphas)
'''

HAS = "from sss_nb.petsc import PETSc; print(*filter(PETSc.Sys.hasExternalPackage, ('cholmod', 'mumps')))"

def run(python, *command, more=None, **how):
    "In another environment, too, this checkout is what is imported."
    env = os.environ | dict(PYTHONPATH=str(ROOT)) | (more or {})
    return subprocess.run([python, '-c', *command], env=env, capture_output=True, text=True, check=True, **how).stdout

def factorisations():
    "(python, package), of this environment and of the one whose Python is named by SSS_NB_OTHER_PYTHON."
    pythons = [sys.executable, *filter(None, [os.environ.get('SSS_NB_OTHER_PYTHON')])]
    return [(python, package) for python in pythons for package in run(python, HAS).split()]

@pytest.mark.parametrize('method', ['exact', 'multilevel'])
def test_layers_are_the_same_with_each_factorisation(method, tmp_path):
    "The same layer is the largest at each pixel, and alphas agree to 1e-3."
    there = factorisations()
    if len(there) < 2: pytest.skip(f'one factorisation is here, {there}; SSS_NB_OTHER_PYTHON names another environment')
    results = []
    for k, (python, package) in enumerate(there):
        run(python, LAYERS, package, method, str(tmp_path/f'{k}.npy'), cwd=tmp_path)
        results.append(np.load(tmp_path/f'{k}.npy'))
    for other in results[1:]:
        assert other.shape == results[0].shape and (other.argmax(2) == results[0].argmax(2)).all()
        print(f'{method}: largest difference {np.abs(other - results[0]).max():.1e}')
        assert np.abs(other - results[0]).max() < 1e-3

KERNELS = '''if True:
    import sys

    import numpy as np

    from sss_nb.pictures.files import load_image
    from sss_nb.pictures.registry import fetch
    from sss_nb.pipeline import semantic_soft_segmentation
    image = load_image(fetch('coffee'), max_size=320)
    np.save(sys.argv[1], semantic_soft_segmentation(image, method='multilevel', progress=False).alphas)
'''

@pytest.mark.skipif(platform.machine() != 'x86_64', reason='the names of the kernels are those of x86')
def test_layers_are_the_same_on_other_processors(tmp_path):
    "On the fast way, with the kernels that OpenBLAS would choose there: a guess of eight digits, corrected steps."
    for kernels in ('Haswell', 'Nehalem'):
        run(sys.executable, KERNELS, str(tmp_path/f'{kernels}.npy'), more=dict(OPENBLAS_CORETYPE=kernels))
    one, two = (np.load(path) for path in sorted(tmp_path.glob('*.npy')))
    assert 0 < np.abs(one - two).max() < 1e-4

def test_a_word_where_only_petscs_own_cholesky_is_there(monkeypatch):
    "Above some thousand rows, and with what to do; not below, and not where there is a library."
    path = np.full(eigen._SLOW + 1, 2.)
    matrix = np.diag(path[:300]) - np.eye(300, k=1) - np.eye(300, k=-1)
    large = sp.diags_array([path, -.5*path[1:], -.5*path[1:]], offsets=[0, 1, -1]).tocsr()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert eigen._package(1) == 'petsc' or eigen.solver_below(large, -1.)
    monkeypatch.setattr(eigen, '_package', lambda size: 'petsc')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        eigen.solver_below(matrix, -1.)
    with pytest.warns(RuntimeWarning, match="neither CHOLMOD nor MUMPS.*5001 rows.*make env.*method 'cg'"):
        solve, _ = eigen.solver_below(large, -1.)
    x = np.ones((len(path), 1))
    assert np.allclose(large @ solve(x) + solve(x), x)

def test_eigenvectors_on_a_few_pixels():
    "A picture of few colours has some that the fast way does not draw: it uses all pixels then."
    photo = Image.open(ROOT/'data/flower.jpg').convert('RGB').resize((300, 200)).convert('P').convert('RGB')
    few = replace(STABLE, constrained_iterations=1, relaxed_iterations=1)
    found = semantic_soft_segmentation(np.asarray(photo)/255, 'classical', params=few, progress=False)
    assert found.alphas.shape == (200, 300, 5) and np.isfinite(found.alphas).all()

def test_what_outweighed_blames():
    "sigma_s only for an eigenvalue that is really negative."
    for lowest, word in ((-7.5e-18, 'independent'), (-.1, 'sigma_s')):
        with pytest.raises(ValueError, match=word), outweighed(np.array([lowest, 1]), STABLE):
            raise np.linalg.LinAlgError
