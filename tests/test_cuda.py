"What runs on a GPU. Skipped where there is none."
import numpy as np
import pytest
import torch

from sss_nb.learning.datasets import Sample
from sss_nb.learning.training import Settings, train
from sss_nb.networks.core import network_features
from sss_nb.networks.sources import default_features
from sss_nb.networks.superpixel import SuperpixelNet
from sss_nb.pictures.scene import synthetic_layers

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')

def scenes(n):
    made = []
    for seed in range(n):
        colors, alphas = synthetic_layers((64, 96), seed)
        image = np.einsum('hwk,hwkc->hwc', alphas, colors).clip(0, 1).astype(np.float32)
        made.append(Sample(f'scene {seed}', image, alphas.argmax(-1)))
    return made

def small_net():
    torch.manual_seed(0)
    return SuperpixelNet(channels=8, widths=(8, 16, 24))

def test_features_are_those_of_the_cpu():
    image, net = scenes(1)[0].image.astype(float), small_net()
    on_cpu, on_gpu = network_features(image, net), network_features(image, net, 'cuda')
    assert np.abs(on_cpu - on_gpu).max() < 1e-3*np.abs(on_cpu).max()

def test_shipped_features_are_those_of_the_cpu():
    image = scenes(1)[0].image.astype(float)
    assert np.abs(default_features(image, 'cpu') - default_features(image, 'auto')).max() < 1e-3

@pytest.mark.parametrize('precision', ['float32', 'bfloat16', 'float16'])
def test_training_learns_and_goes_on(tmp_path, precision):
    "The loss falls in mixed precision too, and a second call with the same settings finds the training finished."
    settings = Settings(steps=60, batch=4, crop=(32, 48), superpixels=100, learning_rate=2e-3, precision=precision)
    how = dict(device='cuda', log_every=1, checkpoint_every=20, progress=False)
    log = train(small_net(), scenes(4), tmp_path, settings, **how)
    losses = [row['loss'] for row in log if 'loss' in row]
    assert np.isfinite(losses).all() and np.mean(losses[-5:]) < np.mean(losses[:5])
    assert train(small_net(), scenes(4), tmp_path, settings, **how)[-1]['step'] == settings.steps
