"""Semantic image matting beside the chapters: sizes, other ways to compute, and bad input."""
import importlib.util
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from house import ROOT
from scipy.spatial import cKDTree
from torch import nn

from sss_nb.affinity.matting import matting_affinity
from sss_nb.laplacian import graph_laplacian
from sss_nb.learning.composition import Foreground
from sss_nb.learning.datasets import Sample
from sss_nb.learning.engine import Schedule, load_checkpoint, poly_rate, read_checkpoint, read_log, run_training
from sss_nb.learning.training import Settings, train
from sss_nb.matting.information_flow import information_flow_matte
from sss_nb.matting.matte import matte
from sss_nb.matting.refine import object_trimap, refine_layers
from sss_nb.matting.semantic import losses, training
from sss_nb.matting.semantic.classes import CLASSES, MATTING_CLASSES, class_index
from sss_nb.matting.semantic.discriminator import (
    MatteDiscriminator,
    class_loss,
    discriminator_terms,
    feature_distance,
    frozen,
)
from sss_nb.matting.semantic.gradient import (
    best_weights,
    contrast_weights,
    explained_gradient,
    gradient_magnitude,
    gradient_parts,
    spatial_gradient,
)
from sss_nb.matting.semantic.guided import guided_matte
from sss_nb.matting.semantic.inputs import (
    SIGMAS,
    TRAINING_SIDE,
    crop_to_image,
    network_input,
    pad_to_stride,
    semantic_input,
)
from sss_nb.matting.semantic.matte import CLASSIFIER, NETWORK, read_trained, semantic_matte
from sss_nb.matting.semantic.network import MattingOutput, SemanticMattingNet, predict_matte, start_body
from sss_nb.matting.semantic.trimap import (
    MattingClassifier,
    class_activation,
    classifier_accuracy,
    classifier_input,
    scaled_activation,
    semantic_trimap,
    unknown_crops,
    unknown_windows,
)
from sss_nb.networks.core import FeatureNet, check_device, load_weights, network_cost, save_weights
from sss_nb.networks.hypercolumn import HypercolumnDeepLab
from sss_nb.networks.resnet import ResNetBody
from sss_nb.networks.small import SmallSuperpixelNet
from sss_nb.params import STABLE
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.result import SoftSegments

# ------------------------------------------------------------------------------------------------ the network

def scene(h=64, w=96, seed=0):
    "An image, a trimap with a band of unknown pixels, and a semantic trimap that says fur."
    rng = np.random.default_rng(seed)
    image, trimap, semantic = rng.random((h, w, 3)), np.full((h, w), .5), np.zeros((h, w, 20))
    trimap[:, :w//3], trimap[:, -w//3:] = 0, 1
    semantic[..., 2] = trimap == .5
    return image, trimap, semantic

def awake(net, seed=0):
    "`net` in evaluation mode, with heads that do not start at zero, so that its results depend on the input."
    torch.manual_seed(seed)
    for head in (net.heads.alpha, net.heads.colors, net.heads.weights): torch.nn.init.normal_(head[-1].weight, std=.02)
    for conv in (net.encoder.trimap, net.encoder.side):
        if conv is not None: torch.nn.init.normal_(conv.weight, std=.1)
    return net.eval()

@pytest.fixture(scope='module')
def lite():
    torch.manual_seed(0)
    return awake(SemanticMattingNet('lite'))

def count(net): return sum(p.numel() for p in net.parameters())

def meta(*args, **settings):
    with torch.device('meta'): return SemanticMattingNet(*args, **settings)

def test_network_has_the_twenty_classes_of_the_paper():
    said = ('defocus, fire, fur, glass_ice, hair_easy, hair_hard, insect, motion, net, flower, leaf, tree, '
            'plastic_bag, sharp, smoke_cloud, spider_web, lace, silk, water_drop, water_spray')
    assert said.split(', ') == list(MATTING_CLASSES) == list(CLASSES)
    assert all(c.description and c.cause in ('strands', 'light', 'blur', 'hard') for c in CLASSES.values())
    assert class_index('water_spray') == 19

@pytest.mark.parametrize('name', ['hair', 'FUR', '', None, 3])
def test_network_refuses_a_class_name_that_is_none(name):
    with pytest.raises(ValueError, match='name of a matting class'): class_index(name)

def test_network_and_classifier_have_the_parameters_of_the_paper():
    "70.2 million to 1 %: the network and the ResNet-50 of four channels and twenty classes; or a wider one alone."
    with torch.device('meta'): classifier = ResNetBody(4)
    both = count(meta()) + count(classifier) + 20*2048 + 20
    assert both == pytest.approx(70.2e6, rel=.01)
    assert count(meta(width=480)) == pytest.approx(70.2e6, rel=.01)

def test_network_of_a_small_size_fits_ten_megabytes_with_its_classifier():
    with torch.device('meta'): classifier = MattingClassifier('lite')
    assert count(meta('lite')) + count(classifier) < 5e6
    assert count(meta('lite')) - count(meta('lite', semantic=False)) == 7*7*20*32
    small = network_cost(meta('lite'), 480, 640, (11, 20))['multiply_adds']
    assert small < 30e9 < network_cost(meta(), 480, 640, (11, 20))['multiply_adds']

@pytest.mark.parametrize('body, stride', [('resnet50', 8), ('lite', 32)])
def test_network_gives_ten_maps_of_the_size_of_its_input(body, stride):
    net = meta(body)
    assert net.stride == stride and not isinstance(net, FeatureNet)
    out = net(*(torch.zeros(2, c, 64, 96, device='meta') for c in (11, 20)))
    assert out._fields == ('alpha', 'foreground', 'background', 'weights')
    assert [tuple(m.shape) for m in out] == [(2, c, 64, 96) for c in (1, 3, 3, 3)]
    assert net.context(*(torch.zeros(2, c, 64, 96, device='meta') for c in (11, 20))).shape[2:] == (1, 1)

def test_network_learns_in_all_its_parts(lite):
    "Each parameter has a gradient, the branch of the semantic trimap and that of the trimap among them."
    net = SemanticMattingNet('lite').train()
    awake(net).train()
    x = [torch.rand(2, c, 64, 64) for c in (11, 20)]
    sum((m - .3).square().mean() for m in net(*x)).backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not [n for n in still if not n.startswith('encoder.body')], still
    assert not any(m.training for m in net.encoder.body.modules() if isinstance(m, torch.nn.BatchNorm2d))

def test_network_depends_on_the_semantic_trimap_and_the_basic_one_does_not(lite):
    x, s = torch.rand(1, 11, 32, 64), torch.rand(1, 20, 32, 64)
    basic = awake(SemanticMattingNet('lite', semantic=False))
    with torch.no_grad():
        assert not torch.allclose(lite(x, s).alpha, lite(x, 0*s).alpha, atol=1e-5)
        assert torch.equal(basic(x, s).alpha, basic(x).alpha)

def test_network_stays_in_range_in_evaluation_and_leaks_in_training(lite):
    for p in (lite.heads.alpha[-1], lite.heads.colors[-1]): p.bias.data += 3
    try:
        with torch.no_grad():
            out = lite(torch.rand(1, 11, 32, 32), torch.rand(1, 20, 32, 32))
            assert all(m.min() >= 0 and m.max() <= 1 for m in out)
            assert lite.train()(torch.rand(1, 11, 64, 64), torch.rand(1, 20, 64, 64)).alpha.max() > 1
    finally:
        lite.eval()
        for p in (lite.heads.alpha[-1], lite.heads.colors[-1]): p.bias.data -= 3
    total = out.weights[:, 1:].sum(1)
    assert torch.allclose(total, torch.ones_like(total))

def test_network_comes_back_from_its_file(lite, tmp_path):
    x = [torch.rand(1, c, 32, 32) for c in (11, 20)]
    again = load_weights(save_weights(lite, tmp_path/'net.safetensors', dtype='float32', seed=0))
    with torch.no_grad(): assert all(torch.equal(a, b) for a, b in zip(lite(*x), again(*x), strict=True))
    assert again.settings == dict(body='lite', semantic=True, width=96) and again.about == dict(seed=0)

def test_network_refuses_missing_and_damaged_weights(lite, tmp_path):
    with pytest.raises(FileNotFoundError): load_weights(tmp_path/'none.safetensors')
    path = save_weights(lite, tmp_path/'net.safetensors')
    data = bytearray(path.read_bytes())
    data[-9] ^= 255
    path.write_bytes(data)
    with pytest.raises(ValueError, match='damaged'): load_weights(path)
    path.write_bytes(data[:len(data)//2])
    with pytest.raises(ValueError, match='whole safetensors'): load_weights(path)
    with pytest.raises(ValueError, match='tensors differ'):
        load_weights(save_weights(lite, path), SemanticMattingNet('lite', semantic=False))

def test_network_starts_from_a_trained_body():
    torch.manual_seed(1)
    small, net = SmallSuperpixelNet().eval(), SemanticMattingNet('lite').eval()
    start_body(net, small)
    x = torch.rand(1, 11, 32, 32)
    x[:, 3:] = 0
    with torch.no_grad(): skips = net.encoder(x, torch.rand(1, 20, 32, 32))[1]
    rgb = x[:, :3]*torch.tensor([.229, .224, .225]).view(3, 1, 1) + torch.tensor([.485, .456, .406]).view(3, 1, 1)
    with torch.no_grad(): maps = small.body(rgb)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(skips, maps[2::-1], strict=True))
    with pytest.raises(TypeError, match='lite'): start_body(meta(), small)

@pytest.mark.parametrize('settings', [dict(body='vgg'), dict(width=100, body='lite'), dict(width=2)])
def test_network_refuses_settings(settings):
    with pytest.raises(ValueError): meta(**settings)

# its input

def test_network_input_has_the_distances_of_a_search_for_the_nearest():
    image, trimap, _ = scene(20, 30)
    trimap[5, 12] = 1
    x = network_input(image, trimap)
    places = np.argwhere(np.ones_like(trimap))
    for value, maps in ((0, x[5:8]), (1, x[8:11])):
        d = cKDTree(np.argwhere(trimap == value)).query(places)[0].reshape(trimap.shape)
        for s, m in zip(SIGMAS, maps, strict=True):
            assert np.allclose(m, np.exp(-.5*(d/(s*TRAINING_SIDE))**2), atol=1e-5)
    assert np.array_equal(x[3] == 1, trimap == 0) and np.array_equal(x[4] == 1, trimap == 1)
    assert np.allclose(x[:3].std((1, 2)), image.std((0, 1))/(.229, .224, .225), rtol=1e-4)

def test_network_input_of_a_crop_may_lack_a_kind():
    image, trimap, _ = scene()
    for kind, maps in ((0, slice(5, 8)), (1, slice(8, 11))):
        lacking = np.where(trimap == kind, .5, trimap)
        assert (network_input(image, lacking, crop=True)[maps] == 0).all()
        with pytest.raises(ValueError, match='known'): network_input(image, lacking)

def test_network_input_is_padded_and_cut():
    x = np.random.default_rng(0).random((2, 37, 50))
    padded = pad_to_stride(x, 32)
    assert padded.shape == (2, 64, 64) and np.array_equal(crop_to_image(padded, (37, 50)), x)
    assert np.array_equal(padded[:, 37], padded[:, 35])
    with pytest.raises(ValueError, match='at least 32, the stride'): pad_to_stride(x[:, :31], 32)

@pytest.mark.parametrize('semantic', [np.zeros((64, 96, 19)), np.zeros((20, 64, 96)), np.zeros((64, 95, 20)),
                                      np.full((64, 96, 20), np.nan), np.full((64, 96, 20), -1.)])
def test_network_input_refuses_a_semantic_trimap(semantic):
    with pytest.raises(ValueError): semantic_input(semantic, (64, 96))

# a matte

def test_network_predicts_a_matte_that_keeps_what_is_known(lite):
    image, trimap, semantic = scene(50, 75)
    matte = predict_matte(lite, image, trimap, semantic)
    assert matte.alpha.shape == (50, 75) and matte.alpha.dtype == np.float64
    assert np.array_equal(matte.alpha[trimap != .5], trimap[trimap != .5])
    assert matte.alpha[trimap == .5].std() > 0
    assert all(np.isfinite(m).all() and m.min() >= 0 and m.max() <= 1 for m in matte)
    assert np.allclose(matte.foreground[trimap == 1], image[trimap == 1], atol=1e-6)
    assert np.allclose(matte.background[trimap == 0], image[trimap == 0], atol=1e-6)

class Local(torch.nn.Module):
    "A stand-in that sees two pixels far, and what it is told of the whole."
    stride, semantic = 8, False

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x, semantic=None, whole=None):
        self.calls.append(tuple(x.shape[2:]))
        mean = torch.nn.functional.avg_pool2d(x[:, :1], 5, 1, 2, count_include_pad=False)
        whole = self.context(x) if whole is None else whole
        v = (mean + whole[:, :1]).sigmoid()
        return MattingOutput(v, *(v.repeat(1, 3, 1, 1) for _ in range(3)))

    def context(self, x, semantic=None): return x.mean((2, 3), keepdim=True)

def test_network_tiles_are_exact_where_it_sees_less_than_a_quarter_of_the_overlap():
    image, trimap, _ = scene(120, 208)
    trimap[:] = .5
    trimap[0], trimap[-1] = 0, 1
    once = predict_matte(Local(), image, trimap)
    for tile, overlap in ((64, 16), (56, 24), (120, 32)):
        tiled = predict_matte(Local(), image, trimap, tile=tile, overlap=overlap)
        assert np.abs(tiled.alpha - once.alpha).max() < 1e-6
    cut = predict_matte(Local(), image, trimap, tile=64, overlap=0)
    assert np.abs(cut.alpha - once.alpha).max() > 1e-3, 'without an overlap there are seams'

def test_network_tiles_without_unknown_pixels_are_left_out():
    image, trimap, _ = scene(64, 320)
    trimap[:] = np.where(np.arange(320) < 40, .5, np.where(np.arange(320) < 180, 0, 1))
    net = Local()
    matte = predict_matte(net, image, trimap, tile=64, overlap=16)
    assert net.calls == [(64, 64)] and np.array_equal(matte.alpha[:, 64:], trimap[:, 64:])
    assert np.allclose(matte.foreground[:, 200:], image[:, 200:], atol=1e-6) and np.isfinite(matte.weights).all()

def test_network_tiles_of_a_large_picture_have_no_seam():
    "A stand-in of the network on 1500 x 2000 pixels: the steps at the borders of tiles are those of anywhere else."
    h, w = 1500, 2000
    ramp = np.linspace(.2, .8, w)[None, :, None] + np.linspace(0, .1, h)[:, None, None]
    image = np.repeat(ramp, 3, 2)
    trimap = np.full((h, w), .5)
    trimap[:40], trimap[-40:] = 0, 1
    net = Local()
    alpha = predict_matte(net, image, trimap, tile=512, overlap=64, context=256).alpha[40:-40]
    assert len(net.calls) == 4*5 and max(map(max, net.calls)) == 512
    steps = np.abs(np.diff(alpha, axis=1))
    assert steps.max() < 2*np.median(steps) + 1e-6

def test_network_tiles_of_the_small_one_have_no_seam(lite):
    "Kernels reach beyond a tile, so a difference is left, but no step where a tile begins, as without an overlap."
    image, trimap, semantic = scene(192, 320)
    once = predict_matte(lite, image, trimap, semantic).alpha
    def step(overlap):
        tiled = predict_matte(lite, image, trimap, semantic, tile=160, overlap=overlap).alpha
        return np.abs(np.diff(tiled - once, axis=1))[:, 159].mean()
    assert step(64) < step(0)/2

@pytest.mark.parametrize('bad, said', [
    (dict(trimap=lambda t: t[:, :90]), 'of the size 64x96'),
    (dict(trimap=lambda t: np.round(t + .1)), 'unknown pixels'),
    (dict(trimap=lambda t: np.minimum(t, .5)), 'known foreground'),
    (dict(trimap=lambda t: np.maximum(t, .5)), 'known background'),
    (dict(trimap=lambda t: np.where(t == .5, .4, t)), 'got 0.4'),
    (dict(trimap=lambda t: 255*t), 'divide bytes by 255'),
    (dict(semantic=lambda s: None), 'semantic trimap, got none'),
    (dict(semantic=lambda s: s[:32]), 'semantic trimap'),
    (dict(image=lambda i: i[..., :1]), 'image of shape'),
    (dict(image=lambda i: i + 1), 'values in'),
    (dict(tile=lambda _: 16), 'tile'),
    (dict(overlap=lambda _: 600), 'overlap'),
    (dict(device=lambda _: 'gpu'), 'cuda')])
def test_network_refuses_to_predict(lite, bad, said):
    args = dict(zip(('image', 'trimap', 'semantic'), scene(), strict=True))
    for key, change in bad.items(): args[key] = change(args.get(key))
    with pytest.raises(ValueError, match=said): predict_matte(lite, **args)

def test_network_refuses_an_image_smaller_than_its_stride(lite):
    image, trimap, semantic = scene(24, 96)
    with pytest.raises(ValueError, match='at least 32, the stride'): predict_matte(lite, image, trimap, semantic)

def test_network_refuses_an_image_of_bytes(lite):
    image, trimap, semantic = scene()
    with pytest.raises(TypeError, match='divide by 255'):
        predict_matte(lite, (255*image).astype(np.uint8), trimap, semantic)

@pytest.mark.parametrize('device', ['meta', 'mps', 'xpu', 'gpu'])
def test_device_that_cannot_be_used(device):
    if torch.accelerator.is_available() and torch.accelerator.current_accelerator().type == device: return
    with pytest.raises(ValueError, match=f"'{device}'"): check_device(device)

def test_network_says_that_memory_ran_out():
    class Greedy(Local):
        def forward(self, x, semantic=None, whole=None): return x.new_empty(2**55)
    image, trimap, _ = scene()
    with pytest.raises(MemoryError, match='tile='): predict_matte(Greedy(), image, trimap)

def test_network_that_diverged_gives_no_matte(lite):
    class Broken(Local):
        def forward(self, x, semantic=None, whole=None):
            return MattingOutput(*(torch.full((1, c, *x.shape[2:]), torch.nan) for c in (1, 3, 3, 3)))
    image, trimap, _ = scene()
    with pytest.raises(ValueError, match='alphas'): predict_matte(Broken(), image, trimap)

# its gradients

def composite(seed=0, h=12, w=9):
    g = torch.Generator().manual_seed(seed)
    alpha, f, b = (torch.rand(2, c, h, w, generator=g, dtype=torch.float64) for c in (1, 3, 3))
    return alpha, f, b, alpha*f + (1 - alpha)*b

def test_network_gradient_is_that_of_numpy_inside():
    x = composite()[3]
    down, along = np.gradient(x.numpy(), axis=(2, 3))
    ours = spatial_gradient(x).numpy()
    assert np.allclose(ours[:, :, 0, 1:-1], down[:, :, 1:-1]) and np.allclose(ours[:, :, 1, :, 1:-1], along[..., 1:-1])
    size = np.hypot(ours[:, :, 0], ours[:, :, 1])
    assert np.allclose(gradient_magnitude(x).numpy(), size, atol=2e-6)

def test_network_gradient_of_a_composite_is_the_sum_of_its_parts():
    alpha, f, b, image = composite()
    assert torch.allclose(sum(gradient_parts(alpha, f, b)), spatial_gradient(image), atol=1e-12)

def test_network_gradient_weights_that_fit_best_beat_any_others():
    alpha, f, b, image = composite()
    def error(weights, rho=1e-5):
        left = (gradient_magnitude(image) - explained_gradient(alpha, f, b, weights)).square().sum(1)
        return left + rho*(weights - contrast_weights(alpha, f, b))[:, [0, 2]].square().sum(1)
    best = best_weights(image, alpha, f, b)
    g = torch.Generator().manual_seed(1)
    for _ in range(300):
        x, y = torch.rand(2, *alpha.shape, generator=g, dtype=torch.float64)
        assert (error(best) <= error(torch.cat([x, 1 - y, y], 1)) + 1e-12).all()
    assert torch.allclose(best[:, 1] + best[:, 2], torch.ones_like(best[:, 1]))

def test_network_gradient_refuses_shapes():
    alpha, f, b, image = composite()
    for call in (lambda: spatial_gradient(image[0]), lambda: gradient_parts(f, f, b),
                 lambda: gradient_parts(alpha, f[:1], b), lambda: explained_gradient(alpha, f, b, alpha),
                 lambda: best_weights(image[..., :-1], alpha, f, b),
                 lambda: best_weights(image, alpha, f, b, rho=-1)):
        with pytest.raises(ValueError): call()

# --- semantic trimap and discriminator

THIN = dict(width=4, layers=(1, 1, 1, 1))

def thin(kind=MattingClassifier, **settings):
    torch.manual_seed(0)
    return kind(**(THIN | settings))

def ring(h=64, w=96):
    "An image of noise and a trimap with all three kinds of pixels."
    trimap = np.full((h, w), .5)
    trimap[:8], trimap[-8:] = 1, 0
    return np.random.default_rng(0).uniform(size=(h, w, 3)), trimap

def test_resnet50_has_the_published_count():
    with torch.device('meta'): body = ResNetBody()
    assert sum(p.numel() for p in body.parameters()) == 23_508_032

@pytest.mark.parametrize('dilated', [False, True])
def test_resnet_maps_have_the_sizes_it_tells(dilated):
    with torch.device('meta'): body = ResNetBody(width=8, dilated=dilated)
    maps = body(torch.zeros(1, 3, 64, 96, device='meta'))
    assert [m.shape[1] for m in maps] == list(body.channels)
    assert [64//m.shape[2] for m in maps] == list(body.strides)

def test_hypercolumn_keeps_its_names():
    "Weights stored before the blocks were shared are still loaded."
    with torch.device('meta'): names = HypercolumnDeepLab(classes=0, blocks=(1, 1, 1, 1)).state_dict().keys()
    assert {'conv1.0.weight', 'stage2.0.branch.1.0.weight', 'stage5.0.shortcut.1.running_mean'} <= names

def test_small_body_takes_odd_sizes():
    net = thin(body='lite').eval()
    with torch.no_grad(): assert net(torch.rand(1, 4, 33, 47)).shape == (1, 20)

def test_activation_explains_the_logits():
    net = thin()
    seen = class_activation(net, *ring())
    bias = net.linear.bias.detach().numpy()
    assert np.allclose(seen.maps.mean((0, 1)) + bias, seen.logits, atol=1e-5)

def test_scaled_activation_without_evidence_is_zero():
    a = scaled_activation(-torch.ones(1, 3, 2, 2), torch.zeros(3), torch.ones(8, 8, dtype=torch.bool))
    assert a.shape == (3, 8, 8) and (a == 0).all()

def test_semantic_trimap_stays_in_the_unknown():
    image, trimap = ring()
    found = semantic_trimap(thin(), image, trimap, (32, 48))
    assert found.shape == (64, 96, 20) and found.min() >= 0 and found.max() <= 1
    assert (found[trimap != .5] == 0).all() and found[trimap == .5].max() > 0

def test_windows_beyond_the_image_are_the_image():
    image, trimap = ring()
    net = thin()
    assert np.array_equal(semantic_trimap(net, image, trimap, (320, 800)), semantic_trimap(net, image, trimap, (96,)))

@pytest.mark.parametrize('size', [1, 5, 8, 31, 100])
def test_windows_cover_the_unknown(size):
    unknown = np.random.default_rng(0).uniform(size=(31, 17)) > .9
    covered = np.zeros_like(unknown)
    for w in unknown_windows(unknown, size): covered[w] = True
    assert covered[unknown].all()

def test_bad_trimaps_and_images_are_refused():
    image, trimap = ring()
    net = thin()
    grey = trimap.copy()
    grey[30, 30] = .3
    for bad in (trimap[:, :9], np.round(trimap), np.minimum(trimap, .5), np.maximum(trimap, .5), grey):
        with pytest.raises(ValueError, match='expected'): semantic_trimap(net, image, bad)
    with pytest.raises(ValueError, match='stride'): semantic_trimap(net, image[:, :31], trimap[:, :31])
    with pytest.raises(ValueError, match='window'): semantic_trimap(net, image, trimap, (16,))

def test_crops_hold_unknown_pixels():
    image, trimap = ring()
    crops = unknown_crops(image, trimap, (5, 40, 500), np.random.default_rng(0))
    assert [c.shape for _, c in crops] == [(5, 5), (40, 40), (64, 64)] and all((c == .5).any() for _, c in crops)
    again = unknown_crops(image, trimap, (5, 40, 500), np.random.default_rng(0), side=20)
    assert all(a.shape == (20, 20, 3) and c.shape == (20, 20) for a, c in again)
    with pytest.raises(ValueError, match='unknown'): unknown_crops(image, np.round(trimap), (5,), None)

def test_accuracy_counts():
    net = thin()
    torch.nn.init.zeros_(net.linear.weight)
    with torch.no_grad(): net.linear.bias.copy_(torch.arange(20) == class_index('net'))
    found = classifier_accuracy(net, [(*ring(), k) for k in ('net', 'fur')])
    assert found.accuracy == .5 and found.confusion[class_index('fur'), class_index('net')] == 1
    with pytest.raises(ValueError, match='feather'): classifier_accuracy(net, [(*ring(), 'feather')])
    with pytest.raises(ValueError, match='samples'): classifier_accuracy(net, [])

@pytest.mark.parametrize('kind', [MattingClassifier, MatteDiscriminator])
def test_classifiers_are_stored(kind, tmp_path):
    net = thin(kind)
    again = load_weights(save_weights(net, tmp_path/'net.safetensors', dtype='float32'))
    assert type(again) is kind and again.settings == net.settings
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))

def test_discriminator_is_frozen():
    net = thin(MatteDiscriminator).train()
    before = [t.clone() for t in net.state_dict().values()]
    alpha = torch.rand(2, 1, 32, 32, requires_grad=True)
    L_f, L_c = discriminator_terms(net, alpha, alpha.detach().flip(3), torch.tensor([0, 7]))
    (L_f + L_c).backward()
    assert alpha.grad.abs().sum() > 0 and all(p.grad is None and p.requires_grad for p in net.parameters())
    assert net.training and all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))

def test_frozen_restores_after_an_error():
    net = thin(MatteDiscriminator).train()
    with pytest.raises(RuntimeError), frozen(net): raise RuntimeError
    assert net.training and all(p.requires_grad for p in net.parameters())

def test_discriminator_gradients():
    net = thin(MatteDiscriminator).double()
    alpha, truth = (torch.rand(1, 1, 32, 32, dtype=torch.float64) for _ in range(2))
    alpha.requires_grad_()
    for term in (lambda x: feature_distance(net, x, truth), lambda x: class_loss(net, x, torch.tensor([2]))):
        assert torch.autograd.gradcheck(term, alpha, fast_mode=True)

def test_discriminator_refuses():
    net, alpha = thin(MatteDiscriminator), torch.rand(1, 1, 32, 32)
    with pytest.raises(ValueError, match='true matte'): feature_distance(net, alpha, alpha[..., 1:])
    with pytest.raises(ValueError, match='stride'): feature_distance(net, alpha[..., :9], alpha[..., :9])
    with pytest.raises(ValueError, match='classes'): class_loss(net, alpha, torch.tensor([20]))
    with pytest.raises(TypeError, match='int64'): class_loss(net, alpha, torch.tensor([.5]))

def test_classifier_input_has_four_channels():
    image, trimap = ring()
    x = classifier_input(image, trimap)
    assert x.shape == (4, 64, 96) and np.allclose(x[3], trimap)

def nearly(trimap): return np.select([trimap == .5, trimap == 1], [128/255, .996], .004)

def test_classifier_sees_the_trimap_that_is_meant():
    "128/255 and 0.996 are 0.5 and 1, for the classifier and its guide; a device is a word or torch's."
    image, trimap, _ = scene()
    exact, near = classifier_input(image, trimap), classifier_input(image, nearly(trimap))
    assert torch.equal(exact, near)
    raw, guide = exact.clone(), training.Guide(thin())
    raw[3] = torch.from_numpy(nearly(trimap))
    wanted = guide(exact[None], torch.device('cpu'))
    assert wanted.max() > 0 and torch.equal(wanted, guide(raw[None], 'cpu'))
    raw[3, 0, 0] = .2
    with pytest.raises(ValueError, match='the trimap of 0'): guide(raw[None], 'cpu')
    with pytest.raises(ValueError, match='nowhere'): guide(exact[None], 'nowhere')

# --- losses

def noise(b=2, h=5, w=4, dtype=torch.float64, seed=0):
    "Outputs of a network and a truth, of noise."
    generator = torch.Generator().manual_seed(seed)
    def rand(c): return torch.rand(b, c, h, w, dtype=dtype, generator=generator)
    outputs = dict(alpha=rand(1), foreground=rand(3), background=rand(3), weights=rand(3))
    truth = dict(alpha=rand(1), foreground=rand(3), background=rand(3), unknown=rand(1) < .6)
    truth['image'] = losses.composite(truth['alpha'], truth['foreground'], truth['background'])
    truth['class'] = torch.tensor([3, 7])[:b]
    return {k: v.requires_grad_() for k, v in outputs.items()}, truth

def judge(alpha, true_alpha, classes):
    "Stands in for the discriminator: two numbers that depend on the matte."
    return (alpha - true_alpha).square().mean(), alpha.square().mean()*classes.double().mean()

@pytest.mark.parametrize('size', [(64, 48), (33, 50), (7, 1), (1, 1)])
def test_losses_pyramid_of_any_size(size):
    x = torch.rand(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    levels, rest = losses.laplacian_pyramid(x), x
    assert len(levels) == 5 and levels[0].shape == x.shape
    for _ in levels: rest = losses.reduced(rest)
    for level in levels[::-1]: rest = level + losses.expanded(rest, *level.shape[2:])
    assert torch.allclose(rest, x)
    assert all(level.abs().max() < 1e-12 for level in losses.laplacian_pyramid(torch.full_like(x, .7)))
    assert losses.laplacian_loss(x + .25, x) < 1e-12 < losses.laplacian_loss(x*x, x) or size == (1, 1)

@pytest.mark.parametrize('size', [(32, 32), (17, 9)])
def test_losses_vanish_at_the_truth_alone(size):
    outputs, truth = noise(h=size[0], w=size[1])
    for name in ('alpha', 'foreground', 'background'): outputs[name] = truth[name]
    basic, parts = losses.total_loss(outputs, truth, terms=losses.ABLATION['basic'])
    assert basic == 0 and set(parts) == {'alpha', 'color'}
    for name in ('alpha', 'foreground', 'background'):
        worse = outputs | {name: truth[name]*.9}
        assert losses.total_loss(worse, truth, terms=losses.ABLATION['basic'])[0] > .001, name

def test_losses_look_where_they_should():
    "L1 and composition of alpha in the unknown region; a colour where it is seen; an image without one counts 0."
    outputs, truth = noise(h=6, w=6)
    truth['alpha'] = (truth['alpha'] > .5).double()
    none = torch.zeros_like(truth['unknown'])
    colors = truth['foreground'], truth['background']
    known = losses.alpha_loss(outputs['alpha'], truth['alpha'], truth['image'], *colors, none)
    assert torch.equal(known, losses.laplacian_loss(outputs['alpha'], truth['alpha']))
    f = outputs['foreground'].detach()
    def color(f): return losses.color_loss(f, truth['background'], *colors, truth['alpha'], truth['image'], none)
    assert torch.equal(color(f), color(f + 5*(truth['alpha'] == 0))) and color(f + 5*(truth['alpha'] == 1)) > color(f)
    args = [outputs[k] for k in ('alpha', 'foreground', 'background', 'weights')]
    assert losses.gradient_loss(*args, truth['image'], none) == 0

def test_losses_have_the_right_gradient():
    outputs, truth = noise(h=3, w=4)
    check, colors = torch.autograd.gradcheck, (truth['foreground'], truth['background'])
    assert check(lambda a: losses.alpha_loss(a, truth['alpha'], truth['image'], *colors, truth['unknown']),
                 (outputs['alpha'],))
    assert check(lambda f, b: losses.color_loss(f, b, *colors, truth['alpha'], truth['image'], truth['unknown']),
                 (outputs['foreground'], outputs['background']))
    assert check(lambda *o: losses.gradient_loss(*o, truth['image'], truth['unknown']), tuple(outputs.values()))
    assert check(losses.exclusion_loss, (outputs['foreground'], outputs['background']))

def test_losses_gradient_is_explained_where_colors_are_flat():
    "Grey F and B: |grad I| = |F - B| |grad alpha|, so the exact weights leave nothing, and others something."
    alpha = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    f, b = torch.full((1, 3, 8, 8), .9).double(), torch.full((1, 3, 8, 8), .3).double()
    image, unknown = losses.composite(alpha, f, b), torch.ones_like(alpha) > 0
    def loss(first):
        weights = torch.cat([torch.full_like(alpha, first), alpha, 1 - alpha], 1)
        return losses.gradient_loss(alpha, f, b, weights, image, unknown)
    assert loss(.6) < 1e-5 and loss(.5) > .01 and loss(.7) > .01

def test_losses_exclude_common_edges():
    edge = (torch.arange(16) >= 8).float().expand(1, 3, 16, 16)
    assert losses.exclusion_loss(edge, edge) > .1 > 1e-5 > losses.exclusion_loss(edge, edge.mT)
    f, b = (x.detach() for x in list(noise(h=9, w=7)[0].values())[1:3])
    assert torch.isclose(losses.exclusion_loss(f, b), losses.exclusion_loss(b, f))
    assert losses.exclusion_loss(f, torch.full_like(b, .5)) < 1e-5

def test_losses_add_up():
    outputs, truth = noise()
    total, parts = losses.total_loss(outputs, truth, judge)
    weights = dict(alpha=1, color=.2, feature=.2, gradient=.2, exclusion=.2) | {'class': .1}
    assert parts.keys() == weights.keys()
    assert torch.isclose(total, sum(weights[k]*v for k, v in parts.items()))
    assert losses.total_loss(outputs, truth)[1].keys() == weights.keys() - {'feature', 'class'}
    for terms in losses.ABLATION.values():
        some = losses.total_loss(outputs, truth, judge, terms)[1]
        assert set(some) == set(terms) and all(torch.equal(some[k], parts[k]) for k in terms)
    total.backward()
    assert all(x.grad.isfinite().all() and x.grad.abs().sum() > 0 for x in outputs.values())

def test_losses_take_single_precision_and_leave_out_what_is_not_asked_for():
    outputs, truth = noise(dtype=torch.float32)
    total, parts = losses.total_loss(dict(alpha=outputs['alpha']), truth, terms=['alpha'])
    assert total.dtype == torch.float32 and total == parts['alpha'] and list(parts) == ['alpha']

@pytest.mark.parametrize('change, error, words', [
    (dict(alpha=torch.rand(2, 1, 5, 3)), ValueError, 'crop or resize'),
    (dict(alpha=torch.rand(2, 3, 5, 4)), ValueError, r'\(2, 1, 5, 4\)'),
    (dict(alpha=torch.rand(5, 4)), ValueError, 'axis of the batch'),
    (dict(alpha=torch.ones(2, 1, 5, 4, dtype=torch.int64)), TypeError, 'floating'),
    (dict(foreground=None), TypeError, 'floating'),
    (dict(weights=torch.rand(2, 2, 5, 4)), ValueError, 'weights'),
], ids=['size', 'channels', 'axes', 'integers', 'nothing', 'weights'])
def test_losses_refuse_bad_outputs(change, error, words):
    outputs, truth = noise()
    with pytest.raises(error, match=words): losses.total_loss(outputs | change, truth)

def test_losses_refuse_bad_truth_and_terms():
    outputs, truth = noise()
    with pytest.raises(TypeError, match='trimap == .5'):
        losses.total_loss(outputs, truth | dict(unknown=truth['unknown'].double()))
    with pytest.raises(ValueError, match='discriminator'): losses.total_loss(outputs, truth, terms=('class',))
    with pytest.raises(ValueError, match='one of'): losses.total_loss(outputs, truth, terms=('alpha', 'edge'))
    with pytest.raises(ValueError, match='at least one'): losses.total_loss(outputs, truth, terms=())
    with pytest.raises(ValueError, match='levels'): losses.laplacian_pyramid(truth['alpha'], 0)
    with pytest.raises(ValueError, match='scales'):
        losses.exclusion_loss(outputs['foreground'], outputs['background'], 0)

# --- training

PHOTOS = [np.random.default_rng(k).random((70, 90, 3)).astype(np.float32) for k in range(2)]
TINY = dict(steps=4, batch=2, crop=64, sizes=(48, 64), band=(1, 5), learning_rate=1e-3)
OFTEN = dict(log_every=1, validate_every=2, checkpoint_every=2, progress=False)

class Discs:
    "Foregrounds with a soft outline, each of another colour."
    def __init__(self, n=4, kinds=('fur', 'sharp')):
        self.names, self.kinds = [f'disc {k}' for k in range(n)], [kinds[k % len(kinds)] for k in range(n)]
    def __len__(self): return len(self.names)
    def __getitem__(self, i):
        y, x = np.mgrid[:72, :80]
        alpha = np.clip((20 + 2*i - np.hypot(y - 36, x - 40))/(2 + i) + .5, 0, 1).astype(np.float32)
        color = np.random.default_rng(i).random(3)*np.ones((72, 80, 3))
        return Foreground(self.names[i], color.astype(np.float32), alpha, self.kinds[i])

class Guess(nn.Module):
    "A matting network of one convolution with dropout."
    stride, semantic, settings = 8, False, {}
    def __init__(self):
        super().__init__()
        self.conv, self.drop = nn.Conv2d(11, 10, 3, padding=1), nn.Dropout2d(.2)
    def forward(self, x):
        alpha, foreground, background, weights = self.drop(self.conv(x)).sigmoid().split((1, 3, 3, 3), 1)
        return MattingOutput(alpha, foreground, background, weights)

def guess():
    torch.manual_seed(0)
    return Guess()

def matting_task(kind=None, data=None, **changes):
    settings = training.MattingSettings(**TINY | dict(stage='basic') | changes)
    return (kind or training.MattingTask)(Discs() if data is None else data, PHOTOS, settings, Discs(2))

class Broken(training.MattingTask):
    "Stops at the third batch."
    error = None
    def describe(self, net): return super().describe(net) | dict(task='MattingTask')
    def loss(self, run, batch, device, seed):
        if torch.equal(batch[0], self.batch(2)[0]): raise self.error
        return super().loss(run, batch, device, seed)

@pytest.mark.parametrize('error', [KeyboardInterrupt(), MemoryError(), OSError('disk')])
def test_training_goes_on_where_it_was_broken_off(tmp_path, error):
    "Whatever stops it, the last checkpoint is good, and the end is that of an unbroken training, bit by bit."
    whole, broken = guess(), matting_task(Broken)
    log = run_training(matting_task(), whole, tmp_path/'whole', **OFTEN)
    broken.error = error
    with pytest.raises(type(error)): run_training(broken, guess(), tmp_path/'broken', **OFTEN)
    assert read_checkpoint(tmp_path/'broken/last.pt')['step'] == 2
    again = guess()
    log2 = run_training(matting_task(), again, tmp_path/'broken', workers=2, **OFTEN)
    for name, t in whole.state_dict().items(): assert torch.equal(t, again.state_dict()[name]), name
    assert [{k: v for k, v in e.items() if k != 'seconds'} for e in log] == [
        {k: v for k, v in e.items() if k != 'seconds'} for e in log2]
    errors = [e for e in log if 'classes' in e]
    assert [e['step'] for e in errors] == [0, 2, 4] and set(errors[0]['classes']) == {'fur', 'sharp'}
    for e in errors:
        for name in ('sad', 'mse', 'gradient', 'connectivity'):
            assert np.isclose(e[f'validation_{name}'], np.mean([v[name] for v in e['classes'].values()]))
    best = read_checkpoint(tmp_path/'whole/best.pt')
    assert -best['best'] == min(e['validation_mse'] for e in errors)

def test_training_refuses_another_checkpoint(tmp_path):
    run_training(matting_task(), guess(), tmp_path, **OFTEN)
    before = (tmp_path/'last.pt').read_bytes()
    for task in (matting_task(seed=1), matting_task(data=Discs(3)), matting_task(stage='basic', band=(1, 6))):
        with pytest.raises(ValueError, match='of another'): run_training(task, guess(), tmp_path, **OFTEN)
    other = training.ClassifierTask(Discs(), PHOTOS, training.CropSettings(**TINY))
    with pytest.raises(ValueError, match='task: MattingTask then, ClassifierTask now'):
        run_training(other, guess(), tmp_path, **OFTEN)
    assert (tmp_path/'last.pt').read_bytes() == before

def test_training_weights_missing_or_damaged(tmp_path):
    "load_checkpoint tells a missing file, half a file, a file of something else, and another network."
    run_training(matting_task(), guess(), tmp_path, **OFTEN)
    with pytest.raises(FileNotFoundError): load_checkpoint(tmp_path/'none.pt', guess())
    (tmp_path/'half.pt').write_bytes((tmp_path/'last.pt').read_bytes()[:500])
    torch.save(dict(weights=1), tmp_path/'other.pt')
    for name in ('half.pt', 'other.pt'):
        with pytest.raises(ValueError, match=name): load_checkpoint(tmp_path/name, guess())
    with pytest.raises(ValueError): load_checkpoint(tmp_path/'last.pt', nn.Linear(2, 1))
    (tmp_path/'last.pt').write_bytes((tmp_path/'half.pt').read_bytes())
    with pytest.raises(ValueError, match=r'last\.pt'): run_training(matting_task(), guess(), tmp_path, **OFTEN)
    assert load_checkpoint(tmp_path/'best.pt', guess()) in (0, 2, 4)

def test_training_tells_a_flipped_bit(tmp_path):
    "In the middle of a tensor, where torch itself does not look."
    run_training(matting_task(), guess(), tmp_path, **OFTEN)
    data, weights = bytearray((tmp_path/'last.pt').read_bytes()), read_checkpoint(tmp_path/'last.pt')['net']
    data[data.index(weights['conv.weight'].numpy().tobytes()) + 40] ^= 1
    (tmp_path/'flipped.pt').write_bytes(data)
    with pytest.raises(ValueError, match=r'flipped\.pt.* checksum'): load_checkpoint(tmp_path/'flipped.pt', guess())

def test_log_with_a_broken_line_is_left_alone(tmp_path):
    "Only a last line may be cut short; another one is told, and the file stays."
    run_training(matting_task(), guess(), tmp_path, **OFTEN)
    path, whole = tmp_path/'log.jsonl', read_log(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text('\n'.join([*lines, '{"step": 9, "lo']))
    assert read_log(tmp_path) == whole
    for line in ('3', '[]', '', '{"step": 2, "lo'):
        path.write_text('\n'.join([lines[0], line, *lines[1:]]) + '\n')
        with pytest.raises(ValueError, match='line 2 in .*take it out'): read_log(tmp_path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match='line 2'): run_training(matting_task(), guess(), tmp_path, **OFTEN)
    assert path.read_bytes() == before

@pytest.mark.parametrize('bad, said', [
    (dict(slower={'body.': 0}), 'above 0'), (dict(slower={'body.': '1'}), "slower\\['body.'\\]"),
    (dict(slower={'body.': float('nan')}), 'finite'), (dict(slower=.1), 'slower as a dict'),
    (dict(momentum=1), 'below 1')])
def test_schedule_refuses(bad, said):
    with pytest.raises(ValueError, match=said): Schedule(**bad)

@pytest.mark.parametrize('step', [-1, 10, .5])
def test_rate_is_that_of_a_step(step):
    assert 0 < poly_rate(Schedule(steps=10), 9) < poly_rate(Schedule(steps=10), 0)
    with pytest.raises(ValueError, match='from 0 to 9'): poly_rate(Schedule(steps=10), step)

@pytest.mark.parametrize('changes, words', [
    (dict(data=Discs(kinds=('fur', 'velvet'))), "'velvet'"), (dict(data=Discs(0)), 'at least one foreground'),
    (dict(stage='semantic'), 'a classifier'), (dict(stage='all'), 'one of'), (dict(sizes=()), 'sizes')])
def test_training_tells_what_it_lacks(changes, words):
    with pytest.raises(ValueError, match=words): matting_task(**changes)

def test_training_tells_what_does_not_fit(tmp_path):
    class Seeing(Guess): semantic = True
    for task, net, words in ((matting_task(crop=60), guess(), 'multiple of 8'),
                             (matting_task(), Seeing(), 'semantic=False')):
        with pytest.raises(ValueError, match=words): run_training(task, net, tmp_path/'new', **OFTEN)
    assert not (tmp_path/'new').exists()
    nameless = training.ClassifierTask(Discs(kinds=(None,)), PHOTOS, training.CropSettings(**TINY))
    with pytest.raises(ValueError, match='a class for each'): run_training(nameless, guess(), tmp_path, **OFTEN)

def test_training_batch_is_of_its_step_alone():
    "Composites, trimaps and truth belong together, and step 5 is step 5, whatever was before it."
    task = matting_task(joined=1)
    (x, seen, truth), again = task.batch(5), matting_task(joined=1).batch(5)
    assert seen is None and torch.equal(x, again[0]) and all(torch.equal(t, again[2][k]) for k, t in truth.items())
    assert not torch.equal(x, task.batch(6)[0])
    a, f, b = truth['alpha'], truth['foreground'], truth['background']
    assert torch.allclose(truth['image'], a*f + (1 - a)*b, atol=1e-6)
    assert torch.equal(truth['unknown'][:, 0], (x[:, 3:5].sum(1) == 0))
    assert ((a == 0) | (a == 1) | truth['unknown'] | ((a - a.round()).abs() <= .01)).all()

def test_training_of_features_reads_older_checkpoints(tmp_path):
    "A checkpoint of the time before the engine began its best measure at -1; all else is as it was."
    samples = [Sample(f'{k}', PHOTOS[k][:32, :32], np.arange(1024).reshape(32, 32)//512) for k in range(2)]
    settings = Settings(steps=4, batch=2, crop=(32, 32), superpixels=20)
    class Net(nn.Conv2d): pass
    def net():
        torch.manual_seed(0)
        return Net(3, 4, 3, padding=1)
    often = dict(checkpoint_every=2, progress=False)
    class Stop(list):
        def __getitem__(self, i):
            self.read = getattr(self, 'read', 0) + 1
            if self.read > 5: raise OSError('gone')
            return super().__getitem__(i)
    whole, again = net(), net()
    train(whole, samples, tmp_path/'whole', settings, **often)
    with pytest.raises(OSError, match='gone'): train(net(), Stop(samples), tmp_path/'old', settings, **often)
    state = read_checkpoint(tmp_path/'old/last.pt')
    names = {'network', 'data', *Settings().__dict__}
    assert state['step'] == 2 and set(state['about']) == names and len(names) == 20
    torch.save(state | dict(best=-1.), tmp_path/'old/last.pt')
    train(again, samples, tmp_path/'old', settings, **often)
    assert torch.equal(whole.weight, again.weight) and torch.equal(whole.bias, again.bias)

def test_training_measures_classes_with_standard_errors():
    rows = [(kind, dict(sad=float(v), mse=v/10)) for kind, v in (('fur', 1), ('net', 4), ('fur', 2), ('fur', 6))]
    found = training.class_errors(rows)
    assert list(found) == ['all', 'fur', 'net'] and found['all']['n'] == 4 and found['net']['sad'] == [4., None]
    assert np.allclose(found['fur']['sad'], [3, np.std([1, 2, 6], ddof=1)/3**.5])
    with pytest.raises(ValueError, match='that were measured'): training.class_errors([])
    turned = [(kind, dict(reversed(e.items()))) if k % 2 else (kind, e) for k, (kind, e) in enumerate(rows)]
    assert training.class_errors(turned) == found
    for other in (dict(sad=1.), dict(sad=1., mse=.1, gradient=2.)):
        with pytest.raises(ValueError, match="expected errors sad, mse, got .* of a photograph of 'fur'"):
            training.class_errors([*rows, ('fur', other)])
    alpha = Discs()[0].alpha
    assert set(np.unique(training.usable_trimap(alpha, 40))) == {0, .5, 1}
    assert training.usable_trimap(np.ones((9, 9)), 2) is None

# --- a matte with a guess

@pytest.mark.parametrize('bad, said', [
    (dict(guess=np.ones((64, 96, 1))), r'\(64, 96, 1\)'), (dict(guess=np.ones((64, 96, 3))), r'\(64, 96, 3\)'),
    (dict(guess=np.full((64, 96), 255, np.uint8)), 'divide by 255'), (dict(rtol=0), 'rtol'), (dict(rtol='a'), 'rtol')])
def test_guided_matte_refuses(bad, said):
    image, trimap, _ = scene()
    with pytest.raises(ValueError, match=said): guided_matte(**dict(image=image, trimap=trimap, guess=trimap) | bad)

# --- a matte by trained weights

@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    "A folder with a network that depends on all it sees, and its classifier."
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    save_weights(awake(SemanticMattingNet('lite', width=12)), folder/NETWORK, dtype='float32')
    save_weights(thin(), folder/CLASSIFIER, dtype='float32')
    return folder

def test_matte_of_weights_is_that_of_its_parts(weights):
    image, trimap, _ = scene()
    found, trained = matte(image, trimap, 'semantic', weights=weights, trust=None), read_trained(weights)
    S = semantic_trimap(trained.classifier, image, trimap)
    assert np.array_equal(found, predict_matte(trained.network, image, trimap, S).alpha)
    assert np.array_equal(found[trimap != .5], trimap[trimap != .5]) and found[trimap == .5].std() > 0
    assert np.array_equal(found, semantic_matte(image, trimap, trained, trust=None))
    assert read_trained(weights) is trained, 'read once'
    guided = semantic_matte(image, trimap, trained, trust=.01)
    assert np.array_equal(guided, guided_matte(image, trimap, found, .01)) and not np.allclose(guided, found)

def test_guided_matte_solves_its_system():
    "The same as a dense solve of (L + lambda D_K + D_tau) alpha = lambda D_K T + D_tau g; the guess holds with trust."
    image, trimap, _ = scene()
    image, trimap = image[:24, :30], np.full((24, 30), .5)
    trimap[:, :4], trimap[:, -4:] = 1, 0
    guess = np.random.default_rng(0).uniform(size=trimap.shape)
    trust = .05*(.1 + .9*(2*guess - 1)**2)*(trimap == .5)
    held, wanted = 100.*(trimap != .5) + trust, 100.*(trimap == 1) + trust*guess
    L = graph_laplacian(matting_affinity(image)).toarray()
    dense = np.linalg.solve(L + np.diag(held.ravel()), wanted.ravel()).reshape(trimap.shape)
    found = guided_matte(image, trimap, guess, .05, flows=False, rtol=1e-10)
    assert np.allclose(found, np.where(trimap == .5, dense.clip(0, 1), trimap), atol=1e-6)
    assert np.allclose(guided_matte(image, trimap, guess, 1e7), np.where(trimap == .5, guess, trimap), atol=1e-2)
    sure = np.round(guess)      # a guess of 0 or 1 is no known pixel
    assert not np.allclose(guided_matte(image, trimap, sure, .05), np.where(trimap == .5, sure, trimap), atol=.1)
    flows = guided_matte(image, trimap, guess, 1e-9, rtol=1e-9)
    assert np.allclose(flows, information_flow_matte(image, trimap)*(trimap == .5) + trimap*(trimap != .5), atol=1e-3)
    assert not np.allclose(guided_matte(image, trimap, guess, .05), found, atol=.01), 'all flows count'

def test_matte_of_weights_tells_what_is_missing(weights, tmp_path):
    image, trimap, _ = scene()
    def refused(folder, error, words):
        with pytest.raises(error, match=words): matte(image, trimap, 'semantic', weights=folder)
    refused(tmp_path/'none', FileNotFoundError, 'none')
    refused(tmp_path, FileNotFoundError, 'network')
    (tmp_path/NETWORK).write_bytes((weights/NETWORK).read_bytes())
    refused(tmp_path, FileNotFoundError, 'classifier')
    (tmp_path/CLASSIFIER).write_bytes((weights/NETWORK).read_bytes())
    refused(tmp_path, ValueError, 'weights of a MattingClassifier')
    (tmp_path/CLASSIFIER).write_bytes((weights/CLASSIFIER).read_bytes()[:3000])
    refused(tmp_path, ValueError, 'whole safetensors')
    (tmp_path/CLASSIFIER).write_bytes((weights/CLASSIFIER).read_bytes())
    found = matte(image, trimap, 'semantic', weights=tmp_path)
    assert found.shape == trimap.shape, 'files that are newer are read again'

@pytest.mark.parametrize('bad, said', [
    (lambda i, t: (i, t[:, :90]), 'of the size 64x96'),
    (lambda i, t: (i, np.round(t + .1)), 'unknown pixels'),
    (lambda i, t: (i, np.minimum(t, .5)), 'known foreground'),
    (lambda i, t: (i, np.maximum(t, .5)), 'known background'),
    (lambda i, t: (i, np.where(t == .5, .4, t)), 'got 0.4'),
    (lambda i, t: (i[:20], t[:20]), 'at least 32, the stride')])
def test_matte_of_weights_refuses(weights, bad, said):
    image, trimap = bad(*scene()[:2])
    with pytest.raises(ValueError, match=said): matte(image, trimap, 'semantic', weights=weights)

def test_layers_are_refined_by_weights(weights, tmp_path):
    "Each layer has the network's matte in its band; shares sum to one; the result says how, and is saved."
    image, alphas = synthetic_scene(64)
    hard = np.eye(5)[alphas.argmax(-1)]
    found = refine_layers(hard, 'semantic', image, width=.05, weights=weights)
    assert np.allclose(found.sum(-1), 1) and found.min() >= 0
    sure = np.all([object_trimap(hard, k, .05) != .5 for k in range(5)], axis=0)
    assert sure.any() and np.array_equal(found[sure], hard[sure]) and not np.allclose(found[~sure], hard[~sure])
    segments = refine_layers(SoftSegments(hard, STABLE, image=image), 'semantic', width=.05, weights=weights)
    assert segments.refined == 'semantic, width 0.05' and np.array_equal(segments.alphas, found)
    with pytest.raises(FileNotFoundError): refine_layers(hard, 'semantic', image, weights=tmp_path/'none')

# --- the command that trains

def command(monkeypatch, *words):
    "tools/train_matting.py, in this process."
    monkeypatch.syspath_prepend(ROOT/'tools')
    spec = importlib.util.spec_from_file_location('train_matting', ROOT/'tools/train_matting.py')
    tool = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'train_matting', tool)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(sys, 'argv', ['train_matting.py', *map(str, words)])
    tool.main()

SHORT = ('--steps', 1, '--batch', 2, '--classes-steps', 1, '--classes-batch', 2, '--crop', 32, '--mattes', 4,
         '--held', 2, '--tests', 2, '--test-size', 64, '--threads', 1, '--workers', 0)

def test_command_trains_measures_and_writes(monkeypatch, tmp_path, capsys):
    "The whole ablation in one command; the same again has nothing to do; errors per class; weights that can be used."
    command(monkeypatch, 'ablation', tmp_path, *SHORT)
    stages = [f'{stage}-0' for stage in training.STAGES]
    for name in ('classifier', 'discriminator', *stages): assert read_checkpoint(tmp_path/name/'last.pt')['step'] == 1
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob('*/*.pt')}
    command(monkeypatch, 'ablation', tmp_path, *SHORT)
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob('*/*.pt')}
    command(monkeypatch, 'evaluate', tmp_path, *SHORT)
    found = json.loads((tmp_path/'test.json').read_text())['methods']
    assert set(found) == {'closed-form', *stages, 'basic-guided-0', 'gradient-guided-0'}
    for table in found.values():
        assert {'all', 'defocus', 'fire'} == set(table) and table['all']['n'] == 2
        assert all(len(table['all'][name]) == 2 for name in ('sad', 'mse', 'gradient', 'connectivity'))
    command(monkeypatch, 'write', tmp_path, '--stage', 'semantic', *SHORT)
    image, trimap, _ = scene()
    assert matte(image, trimap, 'semantic', weights=tmp_path/'weights').shape == trimap.shape
    assert read_trained(tmp_path/'weights').network.about['stage'] == 'semantic'
    assert 'closed-form' in capsys.readouterr().out

def test_stages_go_on_from_one_network(monkeypatch, tmp_path, capsys):
    "With --begin-steps a stage begins as the basic network that was trained before: the semantic trimap adds nothing."
    few = (*SHORT, '--begin-steps', 1)
    command(monkeypatch, 'begin', tmp_path, *few)
    tool = sys.modules['train_matting']
    first, stage = SemanticMattingNet('lite', semantic=False), SemanticMattingNet('lite', semantic=True)
    load_checkpoint(tmp_path/'begin-0/last.pt', first)
    args = SimpleNamespace(config='small', seed=0, folder=tmp_path)
    tool.begun(stage, args)
    x = torch.rand(1, 11, 64, 64)
    with torch.no_grad(): a, b = first.eval()(x), stage.eval()(x, torch.rand(1, 20, 64, 64))
    assert torch.equal(a.alpha, b.alpha)
    command(monkeypatch, 'ablation', tmp_path, *few)
    for name in training.STAGES: assert read_checkpoint(tmp_path/f'{name}-0/last.pt')['step'] == 1

def test_command_tells_what_comes_first(monkeypatch, tmp_path, capsys):
    for words, said in ((('network', tmp_path, *SHORT), 'train the classifier first'),
                        (('ablation', tmp_path, '--data', 'coco'), 'got coco'),
                        (('ablation', tmp_path, '--data', f'simd:{tmp_path}'), '--backgrounds'),
                        (('ablation', tmp_path, '--data', f'simd:{tmp_path}', '--classes', 'c.csv', '--backgrounds',
                          tmp_path, '--held-out', tmp_path), 'no --classes for simd'),
                        (('write', tmp_path, *SHORT), 'train the network first')):
        if said == 'got coco': words = (*words, '--backgrounds', tmp_path, '--held-out', tmp_path)
        with pytest.raises(SystemExit): command(monkeypatch, *words)
        assert said in capsys.readouterr().err
