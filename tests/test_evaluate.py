"""The command that measures: killed and called again, and what it is asked wrongly."""
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from house import ROOT
from PIL import Image

from sss_nb import evaluate
from sss_nb.pictures.scene import synthetic_scene


@pytest.fixture
def mattes(tmp_path):
    "Thirty small composites with mattes and trimaps."
    folder = tmp_path/'mattes'
    folder.mkdir()
    image, alphas = synthetic_scene(24)
    alpha = alphas[..., 1]
    trimap = np.where(alpha < .02, 0, np.where(alpha > .98, 255, 128))
    pictures = {'': 255*image, '_alpha': 255*alpha, '_trimap': trimap}
    for k in range(30):
        for ending, a in pictures.items():
            Image.fromarray(np.round(a).astype(np.uint8)).save(folder/f'p{k:02d}{ending}.png')
    return folder

def test_killed_and_called_again(mattes, tmp_path):
    "What was measured before a kill is not measured again, and the table is the same as that of one run."
    words = ['--mattes', str(mattes), '--systems', 'closed-form', '--out', str(tmp_path/'out')]
    path = tmp_path/'out/mattes.json'
    with open(tmp_path/'printed.txt', 'w') as printed:
        run = subprocess.Popen([sys.executable, '-m', 'sss_nb.evaluate', *words], cwd=ROOT, stdout=printed,
                               stderr=printed, env=os.environ | dict(PYTHONPATH=str(ROOT)))
        end = time.monotonic() + 120
        while not path.exists() and run.poll() is None and time.monotonic() < end: time.sleep(.01)
        run.kill()
        run.wait()
    before = json.loads(path.read_text())
    (path.parent/'.01234567.part').touch()
    for part in path.parent.glob('.*.part'): os.utime(part, (0, 0))       # of long ago
    assert before and evaluate.main(words) == 0
    after = json.loads(path.read_text())
    assert len(after) == 30 and all(after[key] == row for key, row in before.items())
    assert not [p for p in path.parent.iterdir() if p.suffix == '.part']

def test_weights_decide(mattes, tmp_path, monkeypatch):
    "Other weights under the same name make another row."
    file = tmp_path/'a.safetensors'
    file.write_bytes(b'one')
    first = evaluate.soft_system('a', evaluate.STABLE, file).about
    file.write_bytes(b'two')
    assert first != evaluate.soft_system('a', evaluate.STABLE, file).about
    default = evaluate.named_system('stable').about
    assert default['features'] == 'default' and len(default['weights']) == 12

@pytest.mark.parametrize('options, said', [(dict(seeds=1), 'seeds'), (dict(seeds=()), 'seeds'),
                                           (dict(seeds=['a']), 'seed'), (dict(max_size=0), 'max_size')])
def test_wrong_options_end_at_once(mattes, tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        evaluate.evaluate_mattes(mattes, tmp_path/'out', ['closed-form'], progress=False, **options)
    assert not (tmp_path/'out').exists()

@pytest.mark.parametrize('words, said', [
    (['--max-size', '0'], 'integer from 3'), (['--regions', '.', '--systems', 'closed-form'], 'without a trimap'),
    (['--systems', 'features:nowhere.npy'], 'nowhere.npy')])
def test_wrong_words_end_at_once(mattes, tmp_path, capsys, words, said):
    out = tmp_path/'out'
    with pytest.raises(SystemExit) as end: evaluate.main(['--mattes', str(mattes), '--out', str(out), *words])
    assert end.value.code == 2 and said in capsys.readouterr().err
    assert not out.exists()

def test_ctrl_c_is_told_in_a_line(mattes, tmp_path, monkeypatch, capsys):
    words = ['--mattes', str(mattes), '--systems', 'closed-form', '--out', str(tmp_path/'out')]
    def stop(*_): raise KeyboardInterrupt
    monkeypatch.setattr(evaluate, 'matte_measures', stop)
    with pytest.raises(SystemExit) as end: evaluate.main(words)
    said = capsys.readouterr().err
    assert end.value.code == 130 and f'interrupted; what was measured stays in {tmp_path}/out, the same' in said

@pytest.mark.parametrize('out', ['file', 'file/in'])
def test_out_is_a_file(mattes, tmp_path, capsys, out):
    (tmp_path/'file').write_text('mine')
    words = ['--mattes', str(mattes), '--systems', 'closed-form', '--out', str(tmp_path/out)]
    with pytest.raises(SystemExit) as end: evaluate.main(words)
    assert end.value.code == 2 and f'a folder at {tmp_path}/file, got a file; choose' in capsys.readouterr().err

def test_a_missing_trimap_in_words_of_the_command(mattes, capsys):
    (mattes/'p00_trimap.png').unlink()
    with pytest.raises(SystemExit): evaluate.main(['--mattes', str(mattes), '--systems', 'closed-form'])
    said = ' '.join(capsys.readouterr().err.split())
    assert said.endswith('leave them out with --skip-missing; make trimaps with --width 10'), said
