"""Folders of photographs: a run that was killed goes on, and a worker that dies takes one file with it."""
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from house import ROOT, python

from sss_nb.batch import soft_segment_folder
from sss_nb.params import STABLE
from sss_nb.pictures.files import save_image
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
