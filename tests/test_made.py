"""Made mattes beside the chapters: sizes, seeds, splits, and bad input."""
import hashlib

import numpy as np
import pytest

from sss_nb.learning import mattes
from sss_nb.learning.shapes import blurred, disc_kernel, line_kernel
from sss_nb.learning.strands import Sheet, paint_strands
from sss_nb.learning.textures import composite, made_background, noise, over, unmixed
from sss_nb.pictures.registry import registry

NAMES = tuple(mattes.MATTE_MAKERS)

def test_mattes_are_matting_classes():
    "In the order of the list, too."
    classes = pytest.importorskip('sss_nb.matting.semantic.classes').MATTING_CLASSES
    assert [c for c in classes if c in NAMES] == list(NAMES)
    assert len(NAMES) >= 10

@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', [32, (48, 80), (90, 60)])
def test_mattes_of_any_size(name, size):
    F, a, kind = mattes.made_matte(name, size, 3)
    shape = (size, size) if np.ndim(size) == 0 else size
    assert kind == name and a.shape == shape and F.shape == (*shape, 3)
    assert F.dtype == a.dtype == np.float32 and np.isfinite(F).all() and np.isfinite(a).all()
    assert 0 <= F.min() and F.max() <= 1 and a.min() == 0 and .5 < a.max() <= 1
    assert not ((a > 0) & (a < .99/255)).any()

@pytest.mark.parametrize('name', NAMES)
def test_mattes_depend_on_the_seed_alone(name):
    def key(seed):
        F, a, _ = mattes.made_matte(name, 64, seed)
        return hashlib.sha256(F.tobytes() + a.tobytes()).hexdigest()
    np.random.seed(0)
    first = key(5)
    np.random.seed(1)
    assert first == key(5) != key(6)

def test_mattes_known_and_unknown():
    "Of most classes something is surely foreground: a trimap with a band needs it."
    for name in NAMES:
        whole = [(mattes.made_matte(name, 96, seed).alpha > .99).mean() for seed in range(3)]
        assert np.median(whole) > .002, (name, whole)

def test_mattes_errors():
    with pytest.raises(ValueError, match='defocus'): mattes.made_matte('beard', 64)
    with pytest.raises(ValueError, match='32'): mattes.made_matte('fur', 31)
    with pytest.raises(ValueError, match='seed'): mattes.made_matte('fur', 64, -1)
    with pytest.raises(ValueError, match='train'): mattes.MadeMattes('training')
    with pytest.raises(ValueError, match='beard'): mattes.MadeMattes(names=['beard'])
    with pytest.raises(ValueError, match='share'): mattes.MadeMattes(photographs=2)
    with pytest.raises(ValueError, match='samples'): mattes.MadeMattes(n=0)
    with pytest.raises(IndexError, match='0 to 4'): mattes.MadeMattes(n=5)[5]
    with pytest.raises(KeyError): made_background((32, 32), np.random.default_rng(0), 'sea')

def test_made_samples_are_composites():
    data = mattes.MadeMattes('val', 17, 48, seed=2)
    for i in (0, 5, 16):
        s, again = data[i], mattes.MadeMattes('val', 40, 48, seed=2)[i]
        assert np.array_equal(s.image, composite(s.alpha, s.foreground, s.background)) and s.name == NAMES[i]
        for key in ('image', 'alpha', 'foreground', 'background'):
            assert getattr(s, key).tobytes() == getattr(again, key).tobytes()
            assert getattr(s, key).dtype == np.float32

def test_made_samples_are_balanced():
    data = mattes.MadeMattes(n=4*len(NAMES), size=32)
    names = [data.names[i % len(data.names)] for i in range(len(data))]
    assert {names.count(name) for name in NAMES} == {4}
    few = mattes.MadeMattes(n=4, size=32, names=['net', 'leaf'])
    assert [few[i].name for i in range(4)] == ['net', 'leaf']*2 and len(list(few)) == 4

def test_splits_share_nothing():
    "Neither a seed, whatever the seeds of the sets, nor a photograph; and each photograph is free."
    seeds = [{mattes.MadeMattes(s, 200, 32, k).seed_of(i) for k in range(4) for i in range(200)} for s in mattes.SPLITS]
    assert all(len(s) == 800 for s in seeds) and len(set.union(*seeds)) == 2400
    names = sum(mattes.PHOTOGRAPHS.values(), ())
    assert len(set(names)) == len(names) and set(mattes.PHOTOGRAPHS) == set(mattes.SPLITS)
    for name in names: assert registry()[name]['licence'] in mattes.FREE

def test_photographs_come_from_their_split(monkeypatch):
    "With photographs only, each background asks for one of its split."
    asked = []
    real = mattes.photograph_crop
    monkeypatch.setattr(mattes, 'photograph_crop', lambda name, *rest: asked.append(name) or real(name, *rest))
    data = mattes.MadeMattes('test', 12, 32, photographs=1)
    for i in range(12): assert data.background(i).shape == (32, 32, 3)
    assert len(asked) == 12 and set(asked) == set(mattes.PHOTOGRAPHS['test'])
    for i in range(12): mattes.MadeMattes('test', 12, 32, photographs=0).background(i)
    assert len(asked) == 12

def test_sheet_by_hand():
    sheet = Sheet((1, 2), 2)
    sheet.paint(np.array([[1, 0, 0, 0], [0, 0, 0, 0]], bool), (1, 0, 0))
    F, a = sheet.matte(0)
    assert a.tolist() == [[.25, 0]] and np.allclose(F, [1, 0, 0])           # F goes on where alpha is 0

def test_strands_hide_those_before():
    sheet, cross = Sheet((5, 5)), np.array([[[2.5, 0], [2.5, 5]], [[0, 2.5], [5, 2.5]]])
    paint_strands(sheet, cross, 1, np.array([[[1, 0, 0.]], [[0, 0, 1.]]]))
    F, a = sheet.matte(0)
    assert a.sum() == 9 and F[2, 2].tolist() == [0, 0, 1] and F[2, 0].tolist() == [1, 0, 0]

def test_thin_strands_have_a_width():
    "A strand of a third of a pixel has a third of the opacity."
    sheet = Sheet((3, 30))
    paint_strands(sheet, np.array([[[1.5, 0], [1.5, 30]]]), 1/3, np.ones(3))
    assert abs(sheet.matte(0)[1].sum() - 10) < .5

def test_blur_keeps_colour_and_amount():
    rng = np.random.default_rng(0)
    a = np.zeros((40, 40), np.float32)
    a[15:25, 15:25] = rng.random((10, 10))
    F = np.full((40, 40, 3), np.float32([.2, .5, .9]))
    for kernel in (disc_kernel(4.3), line_kernel(11, .4, .3)):
        G, b = blurred((F, a), kernel)
        assert abs(b.sum() - a.sum()) < .02*a.sum() and np.allclose(G[b > .02], F[0, 0], atol=.01)

def test_over_is_associative_in_light():
    rng = np.random.default_rng(0)
    def matte(): return rng.random((4, 5, 3)).astype(np.float32), rng.uniform(.2, .8, (4, 5)).astype(np.float32)
    front, back, B = matte(), matte(), rng.random((4, 5, 3))
    F, a = over(front, back)
    seen = composite(front[1], front[0], composite(back[1], back[0], B))
    assert np.allclose(composite(a, F, B), seen, atol=1e-5)

def test_unmixed_of_nothing():
    F, a = unmixed(np.zeros((3, 4, 3)), np.zeros((3, 4)))
    assert not F.any() and not a.any()

def test_noise_has_its_scale():
    rng = np.random.default_rng(0)
    fine, coarse = noise((64, 64), 4, rng), noise((64, 64), 40, rng)
    def rough(f): return np.abs(np.diff(f, axis=0)).mean()
    assert rough(fine) > 1.5*rough(coarse) and abs(fine.std() - 1) < 1e-5
