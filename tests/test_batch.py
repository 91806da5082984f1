"""Folders of photographs: a run that was killed goes on, and a worker that dies takes one file with it."""
import json
import signal
import subprocess
import sys
import time

import pytest
from house import ROOT, python

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
    while not manifest(photographs) and time.monotonic() < patience: time.sleep(.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = manifest(photographs)
    assert before and {e['status'] for e in before.values()} == {'done'}
    done = subprocess.run(COMMAND + arguments, cwd=ROOT, capture_output=True, text=True, timeout=300)
    after = manifest(photographs)
    assert done.returncode == 0 and '4 of 4 done' in done.stdout, done.stdout + done.stderr
    assert len(after) == 4 and all(after[name] == entry for name, entry in before.items())
    assert not [p for p in (photographs/'out').iterdir() if p.name.startswith('.')], 'nothing half-written is left'


DEADLY = '''
import os, sys
from sss_nb.batch import soft_segment_folder
class Deadly:
    def __array__(self, *args, **kwargs): os._exit(1)
if __name__ == '__main__':
    entries = soft_segment_folder(sys.argv[1], sys.argv[2], features=Deadly(), workers=1, progress=False)
    print(sorted(e['status'] for e in entries.values()), all('worker' in e['error'] for e in entries.values()))
'''


def test_a_dead_worker_is_told(photographs):
    for k in range(2, 4): (photographs/f'in/scene{k}.png').unlink()
    done = python(DEADLY, photographs/'in', photographs/'out')
    assert "['failed', 'failed'] True" in done.stdout, done.stdout + done.stderr
