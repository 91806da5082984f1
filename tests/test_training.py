"""tools/train_features.py on photographs made on the spot: a round, and the weights between two rounds."""
import importlib.util
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from house import ROOT
from PIL import Image

from sss_nb.learning.engine import read_checkpoint
from sss_nb.networks.core import load_weights
from sss_nb.networks.small import SmallSuperpixelNet
from sss_nb.pictures.files import save_image
from sss_nb.pictures.registry import data_dir
from sss_nb.pictures.scene import synthetic_scene

SHIPPED = data_dir()/'weights/small.safetensors'

@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location('train_features', ROOT/'tools/train_features.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    short = dict(steps=1, batch=1, crop=(64, 64), superpixels=30)
    monkeypatch.setattr(module, 'FIRST', replace(module.FIRST, **short))
    monkeypatch.setattr(module, 'SECOND', replace(module.SECOND, **short))
    monkeypatch.setitem(module.SETTINGS, 'small', module.SECOND)
    return module

def command(monkeypatch, tool, *words):
    monkeypatch.setattr(sys, 'argv', ['train_features.py', *map(str, words), '--threads', '1'])
    tool.main()

def write_data(folder):
    "Two photographs for each half of each set."
    for name, ending in (('bsds', '_seg0'), ('camvid', '_label'), ('voc', '_label'), ('clothing', '_label')):
        for k, split in enumerate(('train', 'val')):
            (folder/name/split).mkdir(parents=True)
            image, alphas = synthetic_scene(96, seed=k)
            save_image(folder/name/split/'one.jpg', image)
            Image.fromarray(alphas.argmax(-1).astype(np.uint8)).save(folder/name/split/f'one{ending}.png')
    return folder

def test_weights_lie_between_two(tool):
    "Halfway is the mean; the ends are the two networks; counters stay whole numbers."
    first, second = ({'a': torch.tensor(a), 'n': torch.tensor(n)} for a, n in (([1., 3], 4), ([3., 5], 4)))
    assert tool.between(first, second, .5)['a'].tolist() == [2, 4]
    for share, end in ((0, first), (1, second)): assert torch.equal(tool.between(first, second, share)['a'], end['a'])
    assert tool.between(first, second, .3)['n'].dtype == first['n'].dtype

@pytest.mark.filterwarnings('ignore')
def test_second_round_and_what_is_written(monkeypatch, tool, tmp_path):
    data, run = write_data(tmp_path/'data'), tmp_path/'run'
    command(monkeypatch, tool, 'small', data, run, '--start', SHIPPED)
    command(monkeypatch, tool, 'small', data, run, '--start', SHIPPED, '--write')
    assert read_checkpoint(run/'2/last.pt')['step'] == 1 and not (run/'1').exists()
    wanted, end = load_weights(SHIPPED).state_dict(), read_checkpoint(run/'2/last.pt')['net']
    found = load_weights(run/'small.safetensors')
    assert isinstance(found, SmallSuperpixelNet) and 'PASCAL VOC' in found.about['data']
    for name, t in found.state_dict().items():
        if t.is_floating_point(): assert torch.allclose(t, .3*wanted[name] + .7*end[name], rtol=2e-3, atol=1e-3), name
