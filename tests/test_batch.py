"""Folders of photographs: a run that was killed goes on, and a worker that dies takes one file with it."""
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from house import ROOT, python
from PIL import Image, ImageCms

from sss_nb.batch import read_manifest, soft_segment_folder
from sss_nb.layers.files import read_layers
from sss_nb.params import STABLE
from sss_nb.pictures.files import load_image, save_image
from sss_nb.pictures.scene import synthetic_scene

COMMAND = [sys.executable, '-m', 'sss_nb.batch']


@pytest.fixture
def photographs(tmp_path):
    (tmp_path/'in').mkdir()
    for k in range(4): save_image(tmp_path/f'in/scene{k}.png', synthetic_scene(24, seed=k)[0])
    return tmp_path


def manifest(place):
    path = place/'out/manifest.json'
    return json.loads(path.read_text()) if path.exists() else {}


def test_a_killed_run_goes_on(photographs):
    arguments = [str(photographs/'in'), str(photographs/'out'), '--features', 'classical', '--workers', '1']
    first = subprocess.Popen(COMMAND + arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    patience = time.monotonic() + 120
    def done(): return {name: e for name, e in manifest(photographs).items() if e['status'] == 'done'}
    while not done() and time.monotonic() < patience: time.sleep(.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = done()
    assert before and {e['status'] for e in manifest(photographs).values()} <= {'done', 'waiting'}
    done = subprocess.run(COMMAND + arguments, cwd=ROOT, capture_output=True, text=True, timeout=300)
    after = manifest(photographs)
    assert done.returncode == 0 and '4 of 4 done' in done.stdout, done.stdout + done.stderr
    assert len(after) == 4 and all(after[name] == entry for name, entry in before.items())
    assert not [p for p in (photographs/'out').iterdir() if p.name.startswith('.')], 'nothing half-written is left'


DEADLY = '''
import os, sys, torch
from sss_nb.batch import soft_segment_folder
class Deadly(torch.nn.Module):
    "Ends its process on a picture that is not square."
    def forward(self, x): return torch.cat([x, 1 - x], 1) if x.shape[-1] == x.shape[-2] else os._exit(1)
if __name__ == '__main__':
    entries = soft_segment_folder(sys.argv[1], sys.argv[2], features=Deadly(), workers=1, progress=False)
    print({name: e['status'] for name, e in entries.items()}, [e['error'] for e in entries.values() if 'error' in e])
'''


def test_a_dead_worker_takes_one_file_with_it(photographs):
    save_image(photographs/'in/scene1.png', synthetic_scene((24, 36))[0])
    done = python(DEADLY, photographs/'in', photographs/'out')
    outcome = {f'scene{k}.png': 'failed' if k == 1 else 'done' for k in range(4)}
    assert str(outcome) in done.stdout and 'died' in done.stdout, done.stdout + done.stderr


def test_what_changed_is_made_again(photographs):
    "Other numbers or another file are; a folder that is called like a picture is none."
    few = replace(STABLE, superpixels=50, eigenvectors=10, clusters=6)
    how = dict(features='classical', workers=1, progress=False)
    (photographs/'in/layers.png').mkdir()
    first = soft_segment_folder(photographs/'in', photographs/'out', params=few, **how)
    other = soft_segment_folder(photographs/'in', photographs/'out', params=replace(few, layers=3), **how)
    whole = soft_segment_folder(photographs/'in', photographs/'out', params=few, everything=True, **how)
    assert sorted(first) == [f'scene{k}.png' for k in range(4)]
    assert {e['layers'] for e in first.values()} == {5} and {e['layers'] for e in other.values()} == {3}
    assert all((photographs/'out'/name/'laplacian.matrix.npz').exists() for name in whole)
    with pytest.raises(ValueError, match='features to be a name'):
        soft_segment_folder(photographs/'in', photographs/'out', features=np.zeros((24, 24, 3)), progress=False)


FEW = replace(STABLE, superpixels=50, eigenvectors=10, clusters=6)


def test_files_for_editors(tmp_path):
    "They add up to the photograph, in its colour profile; a format more is made from what was kept."
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    samples = np.round(255*synthetic_scene(24)[0]).astype(np.uint8)
    Image.fromarray(samples).save(tmp_path/'scene.png', icc_profile=profile)
    how = dict(features='classical', params=FEW, workers=0, progress=False, layers='auto')
    first = soft_segment_folder(tmp_path/'scene.png', tmp_path/'out', formats=['folder', 'psd'], **how)['scene.png']
    before = (tmp_path/'out/scene.png/arrays.npz').stat().st_mtime_ns
    told = []
    more = soft_segment_folder(tmp_path/'scene.png', tmp_path/'out', formats=['ora', 'png'],
                               report=lambda name, entry: told.append(entry['formats']), **how)['scene.png']
    assert more['formats'] == ['folder', 'psd', 'ora', 'png'] and told == [more['formats']]
    assert (tmp_path/'out/scene.png/arrays.npz').stat().st_mtime_ns == before
    for name in ('scene.psd', 'scene.ora', 'scene'):
        colors, alphas, names = read_layers(tmp_path/'out'/name)
        assert len(names) == first['layers'] == more['layers']
        picture = np.einsum('hwk,hwkc->hwc', alphas, colors)
        assert np.abs(picture - load_image(tmp_path/'scene.png')).max() <= 1/255 + 1e-6, name
    with Image.open(tmp_path/'out/scene/01-layer 1.png') as im: assert im.info['icc_profile'] == profile


@pytest.mark.parametrize('lost', ['scene', 'scene/02-layer 2.png', 'scene.png', 'scene.png/arrays.npz', 'scene.psd'])
def test_what_was_deleted_is_made_again(lost, tmp_path):
    "A whole format, or one file of it; the others are left alone."
    save_image(tmp_path/'scene.png', synthetic_scene(24)[0])
    how = dict(features='classical', params=FEW, workers=0, progress=False, formats=['folder', 'png', 'psd'])
    soft_segment_folder(tmp_path/'scene.png', tmp_path/'out', **how)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path/'out').rglob('*') if p.is_file() and p.suffix != '.json'}
    path = tmp_path/'out'/lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    soft_segment_folder(tmp_path/'scene.png', tmp_path/'out', **how)
    again = {p: p.stat().st_mtime_ns for p in before}
    assert any(again[p] != before[p] for p in before)
    other = tmp_path/('out/scene/01-layer 1.png' if lost == 'scene.psd' else 'out/scene.psd')
    assert again[other] == before[other]


def test_nothing_of_others_is_replaced(photographs):
    "The photographs never, and what the list does not know only if it may be overwritten."
    how = dict(features='classical', workers=0, progress=False)
    before = (photographs/'in/scene0.png').read_bytes()
    with pytest.raises(FileExistsError, match='the photographs themselves'):
        soft_segment_folder(photographs/'in', photographs/'in', **how)
    (photographs/'out').mkdir()
    (photographs/'out/scene1.psd').write_bytes(b'of another program')
    with pytest.raises(FileExistsError, match='scene1.psd in'):
        soft_segment_folder(photographs/'in', photographs/'out', formats=['psd'], overwrite=False, **how)
    assert (photographs/'in/scene0.png').read_bytes() == before and not read_manifest(photographs/'out')
    few = how | dict(params=FEW, overwrite=False)
    soft_segment_folder(photographs/'in/scene1.png', photographs/'out', formats=['npz'], **few)
    with pytest.raises(FileExistsError, match='scene1.psd in'):      # its numbers are known, this format is not
        soft_segment_folder(photographs/'in/scene1.png', photographs/'out', formats=['psd'], **few)
    assert (photographs/'out/scene1.psd').read_bytes() == b'of another program'
    (photographs/'out/manifest.json').write_text('{"scene0.png": ')
    with pytest.raises(ValueError, match='remove it'):
        soft_segment_folder(photographs/'in', photographs/'out', **how)


def test_sources_and_devices_are_checked_first(photographs):
    for wrong in (dict(features='classic'), dict(features='none.safetensors'), dict(features='none.npy'),
                  dict(device='tpu'), dict(max_memory=-1), dict(formats=['gif']), dict(layers=0)):
        source = photographs/'in/scene0.png'
        with pytest.raises((ValueError, FileNotFoundError)):
            soft_segment_folder(source, photographs/'out', **dict(features='classical') | wrong)
    assert not (photographs/'out').exists()
