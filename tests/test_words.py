"""Words that help: what surprises is told, and what is sensible works. Each test has failed on version 0.1."""
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from house import ROOT, python
from PIL import Image

from sss_nb.params import OFFICIAL, PAPER, STABLE, estimate_seconds
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.pipeline import semantic_soft_segmentation, spectral_matting

IMAGE = synthetic_scene(48)[0]
FEW = dict(superpixels=100, eigenvectors=20, clusters=12)
SMALL = replace(STABLE, **FEW)

def segment(image=IMAGE, features='classical', **how):
    return semantic_soft_segmentation(image, features, **dict(params=SMALL, progress=False) | how)

def turned(path, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    pixels = np.round(255*np.rot90(IMAGE[:, :40], {6: 1, 8: -1, 3: 2}[orientation])).astype(np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    return path

@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_a_turned_photograph_with_features_of_its_own(tmp_path, orientation):
    path = turned(tmp_path/'a.png', orientation)
    with pytest.warns(UserWarning, match=f'EXIF orientation {orientation}'): segment(path, IMAGE[:, :40])
    np.save(tmp_path/'features.npy', IMAGE[:, :40])
    for given in (tmp_path/'features.npy', str(tmp_path/'features.npy')):
        with pytest.warns(UserWarning, match='EXIF orientation'): segment(path, given)
    if orientation == 3: return
    with pytest.warns(UserWarning), pytest.raises(ValueError, match='EXIF'): segment(path, IMAGE[:, :40].swapaxes(0, 1))

@pytest.mark.parametrize('preset', [OFFICIAL, PAPER, STABLE])
@pytest.mark.parametrize('layers', [1, 2, 10, 20])
def test_any_number_of_layers(preset, layers):
    alphas = segment(params=replace(preset, **FEW | dict(clusters=30)), layers=layers).alphas
    assert 1 <= alphas.shape[-1] <= layers and np.abs(alphas.sum(-1) - 1).max() < .02

def test_layers_of_a_tree_are_nested():
    many, few = (segment(layers=n).grouped_segments for n in (6, 3))
    share = np.einsum('hwa,hwb->ab', many, few)/many.sum((0, 1))[:, None]
    home = share.argmax(1)
    sums = np.stack([many[..., home == k].sum(-1) for k in range(3)], axis=-1)
    assert np.abs(sums - few).max() < 1e-9

def test_weights_beyond_sense_are_named():
    with pytest.raises(ValueError, match='sigma_s'): replace(OFFICIAL, sigma_s=1e9)
    with pytest.raises(ValueError, match='sigma_c'): replace(OFFICIAL, sigma_c=1e9)

def test_one_colour_is_one_layer():
    with pytest.warns(UserWarning, match='one colour'): result = segment(np.full((24, 32, 3), .5))
    assert (result.alphas == np.ones((24, 32, 1))).all() and result.clipped.min() == 1
    with pytest.warns(UserWarning, match='one colour'): result = spectral_matting(np.full((24, 32, 3), .5))
    assert (result.alphas == 1).all()

def test_an_error_names_the_argument_that_the_caller_has():
    with pytest.raises(ValueError, match='components'): spectral_matting(IMAGE[:3, :3], progress=False)

def test_tensors_and_pictures_are_taken():
    torch = pytest.importorskip('torch')
    features = torch.tensor(IMAGE, requires_grad=True)
    picture = Image.fromarray(np.round(255*IMAGE).astype(np.uint8))
    assert (segment(features=features).alphas == segment(features=IMAGE).alphas).all()
    assert (segment(picture).alphas == segment(np.asarray(picture)/255).alphas).all()
    with pytest.raises(ValueError, match='put the channels last'): segment(features=torch.rand(8, 48, 48))

def test_hours_are_told_before_they_pass():
    assert estimate_seconds((480, 640), replace(OFFICIAL, eigenvectors=5000)) > 3600
    assert estimate_seconds((480, 640), replace(OFFICIAL, matting_radius=20)) > 3600
    assert estimate_seconds((480, 640), STABLE) < 300

def test_letterbox_bars_are_told():
    film = np.zeros((64, 48, 3))
    film[8:-8] = IMAGE
    with pytest.warns(UserWarning, match='8 rows above, 8 below'): segment(film)
    with pytest.warns(UserWarning, match='8 rows above, 8 below'):
        spectral_matting(film, 'classical', eigenvectors=20, components=8, progress=False)
    film[1:8] = IMAGE[:7]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        segment(film[:48])                                   # one black row is no bar

def test_one_bar_of_progress():
    code = '''
from dataclasses import replace
from sss_nb.params import STABLE
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.pipeline import semantic_soft_segmentation
few = replace(STABLE, superpixels=100, eigenvectors=20, clusters=12)
semantic_soft_segmentation(synthetic_scene(48)[0], 'classical', params=few)'''
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and done.stderr.count(b'\n') == 1, done.stderr     # one line, drawn over and over

def test_figures_of_a_script_stay_with_the_script(tmp_path):
    code = "from sss_nb.pictures.registry import figures_dir; print(figures_dir())"
    assert python(code, cwd=tmp_path).stdout.strip() == str(tmp_path/'figures')
