"""Measures of mattes, trimaps and sets of mattes beside the chapters: other ways to count, and bad input."""
import warnings
from collections import deque
from itertools import product

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from scipy.ndimage import gaussian_filter

from sss_nb.affinity.matting import matting_affinity
from sss_nb.laplacian import graph_laplacian
from sss_nb.learning.composition import (
    composition1k_foregrounds,
    distinctions646_foregrounds,
    plain_foregrounds,
    simd_foregrounds,
    window_around,
)
from sss_nb.matting.closed_form import closed_form_matte
from sss_nb.matting.information_flow import (
    color_mixture_flow,
    information_flow_matte,
    intra_unknown_flow,
    known_to_unknown_flow,
)
from sss_nb.matting.matte import matte
from sss_nb.matting.metrics import (
    alpha_mixing,
    best_single_layer,
    best_union,
    connectivity_error,
    gradient_error,
    layer_errors,
    layers_taken,
    matte_errors,
    mse,
    purity,
    recomposition_error,
    sad,
    soft_iou,
)
from sss_nb.matting.refine import object_trimap, refine_layers
from sss_nb.matting.sets import composition1k, matte_layout, matte_set, plain_mattes
from sss_nb.matting.spectral import component_costs
from sss_nb.matting.trimaps import (
    check_trimap,
    read_matte,
    read_trimap,
    resize_trimap,
    trimap_from_labels,
    trimap_from_layers,
    trimap_from_matte,
)
from sss_nb.params import STABLE
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.result import SoftSegments


def soft_pair(seed, size=14):
    "Two mattes (size, size) that have something in common, in steps of 1/255."
    rng = np.random.default_rng(seed)
    fields = gaussian_filter(rng.normal(size=(3, size, size)), (0, 2, 2))
    fields /= fields.std((1, 2), keepdims=True)
    return [np.round(255*np.clip(fields[0] + .4*f, 0, 1))/255 for f in fields[1:]]

def soft_layers(seed, n, size, total=1.):
    "Layers (size, size, n) of smooth noise, whose sums are `total`."
    values = gaussian_filter(np.random.default_rng(seed).normal(size=(size, size, n)), (2, 2, 0))
    layers = np.exp(3*values/values.std())
    return total*layers/layers.sum(-1, keepdims=True)

# ------------------------------------------------------------------------------------------------ measures

def flooded(mask, start):
    "The pixels of a mask (list of rows) that hang together with `start`, by a walk over sides."
    seen, todo = {start}, deque([start])
    while todo:
        y, x = todo.popleft()
        for p in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= p[0] < len(mask) and 0 <= p[1] < len(mask[0]) and mask[p[0]][p[1]] and p not in seen:
                seen.add(p)
                todo.append(p)
    return seen

def connectivity_by_walks(alpha, truth):
    "The connectivity error, pixel by pixel."
    h, w = alpha.shape
    level, left = np.ones((h, w)), set()
    for k in range(1, 11):
        mask = [[min(alpha[y, x], truth[y, x]) >= k/10 for x in range(w)] for y in range(h)]
        largest, seen = set(), set()
        for x, y in product(range(w), range(h)):
            if mask[y][x] and (y, x) not in seen:
                part = flooded(mask, (y, x))
                seen |= part
                if len(part) > len(largest): largest = part
        for p in product(range(h), range(w)):
            if p not in largest and p not in left:
                level[p] = (k - 1)/10
                left.add(p)
    def phi(a): return 1 - (a - level)*(a - level >= .15)
    return np.abs(phi(alpha) - phi(truth)).sum()

@pytest.mark.parametrize('seed', range(8))
def test_connectivity_by_walks(seed):
    alpha, truth = soft_pair(seed)
    assert np.isclose(connectivity_error(alpha, truth), connectivity_by_walks(alpha, truth))

@pytest.mark.parametrize('seed', range(4))
def test_measures_are_what_they_say(seed):
    "The same matte has no error; two mattes have one in common, whichever is first; parts sum to the whole."
    alpha, truth = soft_pair(seed, 20)
    assert not any(matte_errors(truth, truth).values()) and soft_iou(truth, truth) == 1
    assert np.allclose([*matte_errors(alpha, truth).values()], [*matte_errors(truth, alpha).values()])
    part = np.arange(400).reshape(20, 20) % 3 == 0
    for error in (sad, gradient_error, connectivity_error):
        assert np.isclose(error(alpha, truth, part) + error(alpha, truth, ~part), error(alpha, truth))
    assert np.isclose(mse(alpha, truth, part), np.square(alpha - truth)[part].mean())
    trimap = trimap_from_matte(truth, 1)
    assert matte_errors(alpha, truth, trimap) == matte_errors(alpha, truth, trimap == .5)

def test_measures_take_whole_numbers_and_small_floats():
    truth = np.array([[1, 1, 0], [0, 1, 0]])
    for kind in (bool, np.uint8, np.float32): assert sad(truth.astype(kind), truth) == 0
    assert sad(np.zeros((1, 1)), np.ones((1, 1))) == 1 and gradient_error(np.zeros((1, 1)), np.ones((1, 1))) == 0

@pytest.mark.parametrize('seed', range(12))
@pytest.mark.parametrize('total', [1., .7])
def test_best_union_is_the_best(seed, total):
    "Against all unions, with alphas that sum to 1 or less, over all pixels or some."
    layers, truth = soft_layers(seed, 7, 12, total), soft_pair(seed, 12)[0]
    where = None if seed % 2 else np.random.default_rng(seed).random((12, 12)) < .5
    def error(take): return sad(np.minimum(layers[..., np.array(take)].sum(-1), 1), truth, where)
    least = min(error(take) for take in product((False, True), repeat=7))
    found = best_union(layers, truth, where)
    assert found.exact and np.isclose(found.sad, least)
    take = np.isin(np.arange(7), found.members)
    assert np.isclose(error(take), least) and best_union(layers, truth, where, most=0).sad >= least - 1e-9
    assert best_single_layer(layers, truth, where).sad >= least - 1e-9

def test_search_that_is_cut_short_says_so():
    layers, truth = soft_layers(0, 16, 24), soft_pair(0, 24)[0]
    few, all_ = best_union(layers, truth, most=3), best_union(layers, truth)
    assert all_.exact and not few.exact and few.sad >= all_.sad

def test_one_layer_and_hard_layers():
    truth = np.eye(4)
    assert best_union(np.ones((4, 4, 1)), truth).members == () and best_union(np.ones((4, 4, 1)), truth).sad == 4
    hard = np.eye(3)[np.random.default_rng(0).integers(3, size=(4, 4))]
    assert alpha_mixing(hard) == 0 and best_union(hard, hard[..., 1]).members == (1,)
    assert layer_errors(hard, hard[..., 2])['taken'] == 1 and purity(hard, hard[..., 2]) == 1

class Result:
    "As much of a result as the measures look at: alphas of a solver, and the same clipped."
    def __init__(self, alphas): self.alphas, self.clipped = alphas, np.clip(alphas, 0, 1)

def test_results_are_clipped_and_arrays_are_not():
    beyond = np.array([[[1.2, -.2], [.1, .9]]])
    truth = np.array([[1., 0]])
    assert np.isclose(best_single_layer(Result(beyond), truth).sad, .1)
    for measure in (best_single_layer, best_union, purity, layers_taken, layer_errors):
        with pytest.raises(ValueError, match=r'alphas in \[0, 1\], got -0.2 to 1.2'): measure(beyond, truth)
    with pytest.raises(ValueError, match='sum to at most 1'): best_union(np.ones((1, 2, 2)), truth)

TRUTH = np.array([[1., .5, 0]])
BAD = {'another size': (TRUTH[:, :2], 'of the size 1x3'), 'below 0': (TRUTH - .1, r'in \[0, 1\]'),
       'bytes': (255*TRUTH, 'divide by 255'), 'nan': (TRUTH*np.nan, 'finite'),
       'layers': (TRUTH[..., None], r'\(h, w\)'),
       'empty': (np.zeros((0, 3)), r'\(h, w\)'), 'a row': (TRUTH[0], r'\(h, w\)')}

@pytest.mark.parametrize('bad', BAD)
def test_bad_mattes(bad):
    values, said = BAD[bad]
    for measure in (sad, mse, gradient_error, connectivity_error, soft_iou, matte_errors):
        with pytest.raises(ValueError, match=said): measure(values, TRUTH)
    if bad != 'another size':
        with pytest.raises(ValueError): sad(TRUTH, values)
        with pytest.raises(ValueError): best_union(np.ones((1, 3, 1)), values)

def test_bad_colors():
    image, alphas = np.full((4, 4, 3), .5), np.full((4, 4, 2), .5)
    for colors in (np.zeros((3, 3)), np.zeros((4, 4, 2)), np.zeros((4, 4, 3, 3))):
        with pytest.raises(ValueError, match='colors'): recomposition_error(image, alphas, colors)

@pytest.mark.parametrize('bad, said', [(np.nan, 'finite colors'), (200, 'divide by 255'), (-1, 'np.clip')])
def test_colors_out_of_range(bad, said):
    image, alphas = np.full((4, 4, 3), .5), np.full((4, 4, 2), .5)
    with pytest.raises(ValueError, match=said): recomposition_error(image, alphas, np.full((2, 3), bad))

def test_measures_look_where_a_trimap_is_unknown():
    "0.996 is known as 1 is; 128/255 is unknown as 0.5 is; what is neither is refused."
    alpha, near = np.array([[.5, .5, .5]]), np.array([[.996, 128/255, .004]])
    for error in (sad, mse, gradient_error, connectivity_error, soft_iou):
        assert error(alpha, TRUTH, near) == error(alpha, TRUTH, np.array([[1, .5, 0]]))
    for value in (np.nan, 7, .2):
        with pytest.raises(ValueError, match='the trimap of 0'): sad(alpha, TRUTH, np.array([[1, .5, value]]))

# ------------------------------------------------------------------------------------------------- trimaps

@pytest.mark.parametrize('width', [0, 1, 2.5, 4])
def test_trimap_by_distances(width):
    "Each pixel against each other pixel."
    alpha = np.zeros((12, 15))
    alpha[3:8, 4:12] = 1
    alpha[7, 5:9] = .4
    trimap = trimap_from_matte(alpha, width)
    p = np.argwhere(np.ones_like(alpha))
    away = np.hypot(*(p[:, None] - p).transpose(2, 0, 1)).reshape(*alpha.shape, -1)
    for value in (0, 1):
        others = (alpha != value).ravel()
        assert ((trimap == value) == (alpha == value) & (away[..., others].min(-1) > width)).all()
    assert set(np.unique(trimap)) <= {0, .5, 1}

def test_trimap_of_labels_is_that_of_the_mask():
    labels = np.random.default_rng(0).integers(0, 300, (9, 9)).astype(np.uint16)
    label = int(labels[4, 4])
    assert (trimap_from_labels(labels, label, 1) == trimap_from_matte(labels == label + 0., 1)).all()
    lower = trimap_from_labels(labels.astype(np.int64) - 400, label - 400, 1)
    assert (lower == trimap_from_labels(labels, label, 1)).all()

def test_trimap_of_layers():
    layers = np.moveaxis(np.array([[[.97, .5, 0]], [[.02, .5, 0]], [[.01, 0, 1]]]), 0, -1)
    assert trimap_from_layers(layers, 0, 0).tolist() == [[1, .5, 0]]
    for both in ([0, 1], [1, 0, 1]): assert trimap_from_layers(layers, both, 0).tolist() == [[1, 1, 0]]
    for layers_ in ([], [0, 1, 2], 3, -1, 1.5):
        with pytest.raises(ValueError): trimap_from_layers(layers, layers_)

@pytest.mark.parametrize('scale', [2., -1., 255., np.uint8(255)])
def test_trimap_of_layers_out_of_range(scale):
    layers = scale*np.eye(3, dtype=type(scale))[np.array([[0, 1, 2]])]
    for make in (trimap_from_layers, object_trimap):
        with pytest.raises(ValueError, match=r'alphas (in \[0, 1\]|that sum)'): make(layers, 0)

def test_bad_trimaps():
    for bad in (np.zeros((0, 4)), np.array([[np.nan, .5, 0]]), np.array([[2, .5, 0]])):
        with pytest.raises(ValueError): check_trimap(bad)
    with pytest.raises(ValueError, match='size 1x3 of the image'): check_trimap(np.array([[1, .5]]), (1, 3, 3))
    with pytest.raises(ValueError): resize_trimap(np.array([[.3, 1]]), (1, 1))

def test_matte_files_are_read_as_they_are(tmp_path):
    "Without gamma or transparency's meaning, upright, one bit to floats."
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    im = Image.fromarray(values)
    gamma = PngImagePlugin.PngInfo()
    gamma.add(b'gAMA', (10**5).to_bytes(4, 'big'))
    im.save(tmp_path/'gamma.png', pnginfo=gamma)
    im.save(tmp_path/'grey.bmp')
    Image.merge('LA', [im, im]).save(tmp_path/'veiled.png')
    for name in ('gamma.png', 'grey.bmp', 'veiled.png'): assert (read_matte(tmp_path/name) == values/255).all(), name
    exif = Image.Exif()
    exif[0x112] = 6
    im.save(tmp_path/'turned.png', exif=exif)
    assert (read_matte(tmp_path/'turned.png') == np.rot90(values, -1)/255).all()
    Image.fromarray(values > 99).save(tmp_path/'bit.png')
    assert (read_matte(tmp_path/'bit.png') == (values > 99)).all()
    Image.fromarray(np.full((2, 2), np.nan, np.float32)).save(tmp_path/'nan.tif')
    for name in ('nan.tif', '.'):
        with pytest.raises((ValueError, OSError)): read_matte(tmp_path/name)
    with pytest.raises(ValueError, match='256 pixels|25[0-9] pixels'): read_trimap(tmp_path/'grey.bmp', tolerance=0)

# -------------------------------------------------------------------------------------------- layers refined

IMAGE, LAYERS = synthetic_scene(40)
HARD = np.eye(5)[LAYERS.argmax(-1)]

@pytest.mark.parametrize('method', ['closed-form', 'information-flow'])
def test_refined_layers(method):
    "They sum to one, keep what was sure in all layers, and are nearer to the truth than hard ones."
    found = refine_layers(HARD, method, IMAGE, width=.05)
    assert np.allclose(found.sum(-1), 1) and found.min() >= 0 and not np.isnan(found).any()
    sure = np.all([object_trimap(HARD, k, .05) != .5 for k in range(5)], axis=0)
    assert sure.any() and np.array_equal(found[sure], HARD[sure])
    assert np.abs(found - LAYERS).sum() < .7*np.abs(HARD - LAYERS).sum()

def test_a_result_says_that_it_was_refined(tmp_path):
    "It is another one, with the same parts; saved and loaded; another grouping forgets it."
    segments = SoftSegments(HARD, STABLE, image=IMAGE, initial_segments=HARD, initial_features=np.eye(5),
                            membership=np.arange(5), affinities={'matting': np.eye(1600)}, timings=dict(relaxed=1.))
    found = refine_layers(segments, width=.05)
    assert np.array_equal(found.alphas, refine_layers(HARD, image=IMAGE, width=.05)) and segments.refined == ''
    assert found.refined == 'closed-form, width 0.05' and {'relaxed', 'refine'} == found.timings.keys()
    assert found.initial_segments is HARD and found.params == STABLE
    assert SoftSegments.load(found.save(tmp_path/'saved', everything=False)).refined == found.refined
    assert found.merge([0, 1]).refined == found.refined and found.with_layers(3, relax=False).refined == ''

def test_layers_that_leave_nothing_to_refine():
    "Hard ones without a band, and weak ones that are sure of nothing, stay as they are, and a warning says so."
    for alphas, width in ((HARD, 0), (np.full((40, 40, 2), .5), .01)):
        with pytest.warns(UserWarning, match='no layer was refined'):
            assert np.array_equal(refine_layers(alphas, image=IMAGE, width=width), alphas)
    result = SoftSegments(HARD, STABLE, image=IMAGE)
    with pytest.warns(UserWarning): assert refine_layers(result, width=0) is result
    weak = np.dstack([.9*HARD, np.full((40, 40), .1)])                  # 0.9 is not sure, and the last is sure nowhere
    with pytest.warns(UserWarning): assert np.allclose(refine_layers(weak, image=IMAGE), weak)
    weak = np.dstack([.96*HARD, np.full((40, 40), .04)])
    found = refine_layers(weak, image=IMAGE)
    assert np.allclose(found.sum(-1), 1) and not np.allclose(found, weak)

def test_colors_of_one_value():
    "A picture without an edge: shares are still numbers that sum to one."
    found = refine_layers(HARD, image=np.full((40, 40, 3), .5), width=.05)
    assert np.allclose(found.sum(-1), 1) and found.min() >= 0

BAD_REFINE = {
    'method': (dict(method='poisson'), "one of 'closed-form', 'information-flow', 'semantic'"),
    'no image': ({}, 'image='),
    'size': (dict(image=IMAGE[:20]), 'of the size 20x40'), 'pixels': (dict(image=IMAGE, width=4), 'below 0.5'),
    'negative': (dict(image=IMAGE, width=-.1), 'at least 0'), 'nan': (dict(image=IMAGE*np.nan), 'finite')}

@pytest.mark.parametrize('bad', BAD_REFINE)
def test_bad_refining(bad):
    options, said = BAD_REFINE[bad]
    with pytest.raises(ValueError, match=said): refine_layers(HARD, **options)

def test_bad_layers_to_refine():
    for alphas, said in ((HARD[..., :1]*0 + 1, 'at least two layers, got 1'), (HARD[..., :3], 'sum to 1'),
                         (HARD[..., 0], r'\(h, w, n\)')):
        with pytest.raises(ValueError, match=said): refine_layers(alphas, image=IMAGE)
    with pytest.raises(TypeError, match='strenght'): refine_layers(HARD, image=IMAGE, strenght=1)

# ------------------------------------------------------------------------------------------------- methods

STRIP = np.where(np.arange(40) < 12, 0, np.where(np.arange(40) < 28, .5, 1.))*np.ones((40, 1))

@pytest.mark.parametrize('options, said', [(dict(rtol=r), 'rtol') for r in (0, -1, 1, np.nan, np.inf, 'a', None)] + [
    (dict(max_it=n), 'max_it') for n in (0, -5, 1.5, 'a')])
def test_methods_refuse_where_they_cannot_stop(options, said):
    for method in (closed_form_matte, information_flow_matte):
        with pytest.raises(ValueError, match=said): method(IMAGE, STRIP, **options)

@pytest.mark.parametrize('options', [dict(ridge=0), dict(ridge=-1), dict(ridge=np.nan), dict(spatial=-1),
                                     dict(spatial=np.inf)])
def test_flows_refuse(options):
    for flow in (known_to_unknown_flow, color_mixture_flow):
        with pytest.raises(ValueError, match=next(iter(options))): flow(IMAGE, STRIP, **options)
    if 'spatial' in options:
        with pytest.raises(ValueError, match='spatial'): intra_unknown_flow(IMAGE, STRIP, **options)

@pytest.mark.parametrize('method', ['random-walk', 'learning-based', 'knn'])
def test_methods_take_images_that_are_read_only(method):
    pytest.importorskip('pymatting')
    image = IMAGE.copy()
    image.flags.writeable = False
    assert np.array_equal(matte(image, STRIP, method), matte(IMAGE.copy(), STRIP, method))

def test_components_that_do_not_sum_to_one_are_refused():
    L = graph_laplacian(matting_affinity(IMAGE))
    assert component_costs(LAYERS, L).shape == (5, 5)
    with pytest.raises(ValueError, match='sum to 1'): component_costs(LAYERS/2, L)

# ---------------------------------------------------------------------------------------------------- sets

def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(255*values).astype(np.uint8)).save(path)

def triple(folder, name, shape=(8, 10)):
    alpha = np.zeros(shape)
    alpha[2:5, 2:6] = 1
    write(folder/f'{name}.png', np.dstack([alpha]*3)/2)
    write(folder/f'{name}_alpha.png', alpha)
    write(folder/f'{name}_trimap.png', trimap_from_matte(alpha, 1))

@pytest.mark.parametrize('size', [0, -10, 'a', 2.5])
def test_sizes_that_cannot_be(tmp_path, size):
    triple(tmp_path, 'a')
    for read in (plain_mattes, matte_set):
        with pytest.raises(ValueError, match='max_size to be an integer of at least 3'):
            read(tmp_path, max_size=size)

def test_what_else_lies_in_a_folder(tmp_path):
    "Hidden files, texts and folders are no photographs; endings in capitals are."
    triple(tmp_path, 'a')
    triple(tmp_path, 'b.c')
    (tmp_path/'a.png').rename(tmp_path/'a.PNG')
    (tmp_path/'notes.txt').write_text('')
    (tmp_path/'._a.png').write_text('')
    (tmp_path/'more').mkdir()
    assert matte_set(str(tmp_path)).names == ['a', 'b.c']

def test_turned_photograph_is_told(tmp_path):
    "A photograph with an orientation, whose matte was made without it."
    triple(tmp_path, 'a')
    exif = Image.Exif()
    exif[0x112] = 6
    Image.open(tmp_path/'a.png').save(tmp_path/'a.jpg', exif=exif)
    (tmp_path/'a.png').unlink()
    with pytest.raises(ValueError, match='size 10x8 of the image .*a.jpg'): plain_mattes(tmp_path)[0]

def test_two_of_one_name_and_mattes_alone_are_named(tmp_path):
    triple(tmp_path, 'a')
    write(tmp_path/'b_alpha.png', np.zeros((8, 10), np.uint8))
    with pytest.raises(FileNotFoundError, match='none for b_alpha.png'): plain_mattes(tmp_path)
    with pytest.warns(UserWarning, match='without a photograph: b_alpha.png'):
        assert plain_mattes(tmp_path, skip_missing=True).names == ['a']
    (tmp_path/'b_alpha.png').unlink()
    write(tmp_path/'a.tif', np.zeros((8, 10, 3), np.uint8))
    with pytest.raises(ValueError, match='several of a;'): plain_mattes(tmp_path)

def test_many_missing_are_named_and_counted(tmp_path):
    for k in range(9): triple(tmp_path, f'p{k}')
    for k in range(8): (tmp_path/f'p{k}_alpha.png').unlink()
    said = r'8 without: p0 \(no matte\), .*p4 \(no matte\), …; '
    with pytest.raises(FileNotFoundError, match=said): matte_set(tmp_path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        left = matte_set(tmp_path, skip_missing=True)
    assert left.names == ['p8'] and len(left.skipped) == 8 and [str(w.message)[:13] for w in told] == ['8 of 9 left o']
    assert told[0].filename.endswith('.py')

def test_matte_that_vanishes_after_listing(tmp_path):
    triple(tmp_path, 'a')
    listed = matte_set(tmp_path)
    (tmp_path/'a_alpha.png').unlink()
    with pytest.raises(FileNotFoundError, match='a_alpha.png'): listed[0]
    with pytest.raises(IndexError): listed[1]

def test_composites_with_numbers_in_their_names(tmp_path):
    "NAME_0 to NAME_19, where NAME ends in a number, too, or is one."
    for name in ('x_1280_0', 'x_1280_11', '7_3'):
        for d in ('merged', 'trimaps'): write(tmp_path/d/f'{name}.png', trimap_from_matte(np.eye(5), 0))
    for name in ('x_1280', '7'): write(tmp_path/f'alpha/{name}.png', np.eye(5))
    found = composition1k(tmp_path)
    assert {i.name: i.alpha.stem for i in found.items} == {'7_3': '7', 'x_1280_0': 'x_1280', 'x_1280_11': 'x_1280'}
    assert matte_layout(tmp_path) == 'Composition-1k'

# ----------------------------------------------------------------------------------------- sets of foregrounds

def put_foreground(folder, name, colors='fg', alphas='alpha', size=(12, 16), ending='.png'):
    "A picture of the colours and a matte, in two folders."
    rng = np.random.default_rng(len(name))
    for kind, shape, end in ((colors, (*size, 3), ending), (alphas, size, '.png')):
        (folder/kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder/kind/f'{name}{end}')

def lay_out(root, layout):
    "A few files in a layout, and its reader for the training part."
    if layout == 'simd':
        for kind, name in (('fur', 'cat'), ('plant_tree', 'oak'), ('texture_smooth', 'veil')):
            put_foreground(root/kind, name, ending='.jpg')
        return simd_foregrounds, ['fur/cat', 'plant_tree/oak', 'texture_smooth/veil'], ['fur', 'tree', 'silk']
    if layout == 'composition':
        put_foreground(root/'Training_set/Adobe-licensed images', 'boy', ending='.jpg')
        put_foreground(root/'Training_set/Other', 'kite')
        put_foreground(root/'Test_set/Adobe-licensed images', 'girl')
        (root/'Training_set/training_fg_names.txt').write_text('kite.png\nboy.jpg\n\n')
        return composition1k_foregrounds, ['kite', 'boy'], [None, None]
    if layout == 'distinctions':
        for name in ('fern', 'lamp'): put_foreground(root/'Train', name, 'FG', 'GT')
        put_foreground(root/'Test', 'veil', 'FG', 'GT')
        return distinctions646_foregrounds, ['fern', 'lamp'], [None, None]
    for name in ('cat', 'dog'): put_foreground(root, name)
    return plain_foregrounds, ['cat', 'dog'], [None, None]

LAYOUTS = 'simd', 'composition', 'distinctions', 'plain'

@pytest.mark.parametrize('layout', LAYOUTS)
def test_foregrounds_of_a_layout(tmp_path, layout):
    read, names, kinds = lay_out(tmp_path, layout)
    found = read(tmp_path)
    assert found.names == names and found.kinds == kinds and len(found[:1] + found[1:]) == len(names)
    for one in found[0:1], found: assert str(len(one)) in repr(one)
    first = found[0]
    assert first.color.shape == (12, 16, 3) and first.alpha.shape == (12, 16) and first.kind == kinds[0]
    for a in (first.color, first.alpha): assert a.dtype == np.float32 and 0 <= a.min() and a.max() <= 1

@pytest.mark.parametrize('layout', LAYOUTS)
def test_foregrounds_without_a_partner_are_named(tmp_path, layout):
    "A missing matte, and missing colours; an empty folder; a matte of another size."
    read, _, _ = lay_out(tmp_path, layout)
    pictures = sorted(p for p in tmp_path.rglob('*.*') if p.suffix != '.txt')
    pictures = [p for p in pictures if not any(part.startswith('Test') for part in p.relative_to(tmp_path).parts)]
    for path in pictures:
        data = path.read_bytes()
        path.unlink()
        with pytest.raises(FileNotFoundError): read(tmp_path)
        path.write_bytes(data)
    kept = [p for p in pictures if p.parent.name.lower() in ('alpha', 'gt')][0]
    Image.fromarray(np.zeros((12, 15), np.uint8)).save(kept)
    with pytest.raises(ValueError, match='of one object'): [read(tmp_path)[i] for i in range(2)]
    with pytest.raises(FileNotFoundError): read(tmp_path/'none')

def test_lonely_foreground_is_told_by_name(tmp_path):
    read, _, _ = lay_out(tmp_path, 'distinctions')
    put_foreground(tmp_path/'Train', 'extra', 'FG', 'GT')
    (tmp_path/'Train/GT/extra.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'none for extra\.png'): read(tmp_path)

def test_classes_of_foregrounds(tmp_path):
    "From folders, from a table; a class that is none, or missing, is named."
    read, _, _ = lay_out(tmp_path/'simd', 'simd')
    with pytest.raises(ValueError, match="'tree'"): read(tmp_path/'simd', known=('fur', 'silk'))
    (tmp_path/'test.txt').write_text('fur:cat.jpg:1.jpg\nfur:cat.jpg:2.jpg\n')
    parts = [read(tmp_path/'simd', split, tmp_path/'test.txt').names for split in ('train', 'test')]
    assert parts == [['plant_tree/oak', 'texture_smooth/veil'], ['fur/cat']]
    (tmp_path/'test.txt').write_text('fur:lynx.jpg:1.jpg\n')
    with pytest.raises(FileNotFoundError, match='fur/lynx'): read(tmp_path/'simd', 'test', tmp_path/'test.txt')
    lay_out(tmp_path/'own', 'plain')
    table = tmp_path/'classes.csv'
    table.write_text('name,class\ncat.png,fur\ndog,sharp\n')
    assert plain_foregrounds(tmp_path/'own', table, known=('fur', 'sharp')).kinds == ['fur', 'sharp']
    with pytest.raises(ValueError, match="'sharp'"): plain_foregrounds(tmp_path/'own', table, known=('fur',))
    table.write_text('name,class\ncat.png,fur\n')
    with pytest.raises(ValueError, match='none for dog'): plain_foregrounds(tmp_path/'own', table)
    table.write_text('file;kind\n')
    with pytest.raises(ValueError): plain_foregrounds(tmp_path/'own', table)

def test_listed_foreground_that_is_not_there_is_named(tmp_path):
    read, _, _ = lay_out(tmp_path, 'composition')
    with (tmp_path/'Training_set/training_fg_names.txt').open('a') as names: names.write('cow.png\n')
    with pytest.raises(FileNotFoundError, match='none of cow'): read(tmp_path)
    assert read(tmp_path, 'test').names == ['girl']

def test_window_is_around_a_soft_pixel():
    alpha = np.zeros((50, 70))
    alpha[20:30, 60:] = .5
    for seed in range(40):
        y, x, side = window_around(alpha, 21, np.random.default_rng(seed))
        assert side == 21 and 0 <= y <= 29 and 0 <= x <= 49 and (alpha[y:y+side, x:x+side] == .5).any()
    for plain in (np.ones((9, 12)), np.zeros((9, 12)), np.ones((1, 5))):
        y, x, side = window_around(plain, 30, np.random.default_rng(0))
        assert side == min(plain.shape) and y == 0 and 0 <= x <= plain.shape[1] - side
