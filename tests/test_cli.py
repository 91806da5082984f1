"""The command `sss`, as a shell runs it: answers, exit codes, errors, resuming, interrupting, help and completion."""
import importlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch
from house import ROOT
from PIL import Image

from sss_nb.cli import main
from sss_nb.layers.files import read_layers
from sss_nb.matting.matte import MATTE_METHODS, SEMANTIC, matte
from sss_nb.matting.refine import object_trimap, refine_layers
from sss_nb.matting.semantic.network import SemanticMattingNet
from sss_nb.matting.trimaps import read_trimap, trimap_from_matte
from sss_nb.networks.core import save_weights
from sss_nb.params import STABLE, estimate_memory
from sss_nb.pictures.files import load_image, save_image
from sss_nb.pictures.scene import synthetic_layers, synthetic_scene
from sss_nb.result import SoftSegments

COMMAND = [sys.executable, '-m', 'sss_nb.cli']
ENVIRONMENT = os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', TERM='dumb')
COMMANDS = ('segment', 'pick', 'matte', 'edit', 'features', 'train', 'info')
SIDE = 20
KNOWN = 255*trimap_from_matte(synthetic_layers(SIDE, 1)[1][..., 3], 1, .2)       # with 127.5 for the unknown
TRIMAPS = dict(trimap=KNOWN, short=KNOWN[:9], greys=KNOWN*.8, black=0*KNOWN, hard=255*(KNOWN > 127),
               no_front=np.minimum(KNOWN, 128), no_back=np.maximum(KNOWN, 128), near=KNOWN + 1.6*(KNOWN == 127.5))


def sss(line, cwd, **env):
    "The command, run to its end."
    done = subprocess.run(COMMAND + shlex.split(line), cwd=cwd, env=ENVIRONMENT | env, capture_output=True, text=True,
                          timeout=300, stdin=subprocess.DEVNULL)
    assert 'Traceback' not in done.stderr, done.stderr
    return done


def objects(done):
    "What --json answered: an object a line, and nothing else."
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "Two photographs and a file that is none."
    place = tmp_path_factory.mktemp('cli')
    (place/'in').mkdir()
    for k in (1, 2): save_image(place/f'in/scene{k}.png', synthetic_scene(SIDE, seed=k)[0])
    (place/'in/broken.jpg').write_bytes(b'no picture')
    for name, grey in TRIMAPS.items(): Image.fromarray(grey.astype(np.uint8)).save(place/f'{name}.png')
    return place


@pytest.fixture(scope='module')
def first(home):
    "Their first run."
    return sss('segment in --features classical --workers 0 --json', home)


def here(line, capsys):
    "The command in this process, which has PETSc and torch already, and must succeed: what it answered."
    code, said = main(shlex.split(line)), capsys.readouterr()
    assert code == 0, said.err
    return said.out


# ------------------------------------------------------------------------------------- the program and its help

def test_the_program_is_installed():
    "The script of pyproject.toml is this module's, and `make env` puts it beside python."
    script = tomllib.loads((ROOT/'pyproject.toml').read_text())['project']['scripts']['sss']
    module, function = script.split(':')
    assert callable(getattr(importlib.import_module(module), function))
    installed = {e.value for e in entry_points(group='console_scripts', name='sss')}
    assert installed == {script}, f'installed are {installed or "no scripts"}: make env'
    done = subprocess.run([Path(sys.executable).with_name('sss'), '--version'], capture_output=True, text=True)
    assert done.returncode == 0 and re.fullmatch(r'sss_nb \d+\.\d+\.\d+\n', done.stdout), done.stderr


@pytest.mark.parametrize('columns', [80, 120])
def test_help(columns, tmp_path):
    "It fits the window, and tells every command with its exit codes."
    whole = sss('--help', tmp_path, COLUMNS=str(columns))
    assert whole.returncode == 0 and max(map(len, whole.stdout.splitlines())) <= columns, whole.stdout
    assert all(re.search(rf'^  {c} +\S', whole.stdout, re.M) for c in COMMANDS) and 'Exit codes: 0' in whole.stdout


@pytest.mark.parametrize('columns', [80, 120])
@pytest.mark.parametrize('command', COMMANDS)
def test_help_of_a_command(command, columns, monkeypatch, capsys):
    "It fits the window, has a word on every option, and ends in examples."
    monkeypatch.setenv('COLUMNS', str(columns))
    assert main([command, '--help']) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= columns and 'list[' not in told, told
    assert re.search(rf'^    sss {command}\b', told.split('Examples:')[1], re.M)
    options = re.findall(r'^  (?:-\w, )?(--[\w-]+)', told, re.M)
    described = re.findall(r'^  (?:-\w, )?--.*?(?:  |\n {20})\s*[A-Z0-9a-z.]', told, re.M)
    assert len(described) == len(options) and {'--json', '--help', '--debug'} <= set(options), told
    if command == 'segment': assert SEGMENT <= set(options)


SEGMENT = {'--out', '--layers', '--format', '--features', '--preset', '--max-size', '--fit', '--force', '--quiet'}


def test_the_shell_completes(tmp_path):
    def completed(words):
        count = str(len(words.split(' ')) - 1)
        return sss('', tmp_path, _SSS_COMPLETE='complete_bash', COMP_WORDS=words, COMP_CWORD=count).stdout.split()
    assert completed('sss se') == ['segment'] and completed('sss pick --poi') == ['--point']
    assert {'stable', 'official', 'paper'} <= set(completed('sss segment --preset '))


def test_info(tmp_path, capsys):
    done = sss('info --json', tmp_path)
    told, = objects(done)
    assert done.returncode == 0 and {'versions', 'solvers', 'machine'} == told.keys()
    assert {'sss_nb', 'PETSc', 'SLEPc', 'numpy'} <= told['versions'].keys()
    assert told['machine']['memory'] > told['machine']['free']*.5 > 0
    words = here('info', capsys)
    assert re.search(r'PETSc +\d+\.\d+', words) and re.search(r'free +[\d.]+ GB', words)


# ------------------------------------------------------------------------------------------------------ segment

def test_a_broken_file_fails_alone(home, first):
    told = {o['photo']: o for o in objects(first)}
    assert first.returncode == 1 and first.stderr == ''
    assert {n: o['status'] for n, o in told.items()} == {
        'broken.jpg': 'failed', 'scene1.png': 'done', 'scene2.png': 'done'}
    assert told['scene1.png']['layers'] == 5 and told['scene1.png']['width'] == SIDE
    assert told['broken.jpg']['files'] == [] and 'cannot be read' in told['broken.jpg']['error']
    for name in ('scene1.png', 'scene2.png'):
        assert SoftSegments.load(home/told[name]['files'][0]).alphas.shape == (SIDE, SIDE, 5)


def test_the_same_command_goes_on(home, first, monkeypatch, capsys):
    "What is done is left alone, another format is written from what was kept, and a line a photograph is said."
    before = {p: p.stat().st_mtime_ns for p in home.glob('layers/*/*')}
    again = sss('segment in --features classical --workers 0', home)
    assert again.returncode == 1 and again.stdout == '2 of 3 done, 2 of them before, in layers\n'
    assert again.stderr.startswith('sss: broken.jpg: expected an image') and len(again.stderr.splitlines()) == 1
    more = sss("segment 'in/*.png' --features classical --format folder,psd,png", home)
    assert more.returncode == 0 and before == {p: p.stat().st_mtime_ns for p in before}
    lines = more.stdout.splitlines()
    assert len(lines) == 3 and re.match(
        r'scene1.png: 5 layers of 20 x 20 pixels in [\d.]+ s: layers/scene1.png, layers/scene1.psd, layers/scene1$',
        lines[0])
    _, alphas, names = read_layers(home/'layers/scene2.psd')
    assert np.abs(alphas - SoftSegments.load(home/'layers/scene2.png').clipped).max() < .01 and len(names) == 5
    monkeypatch.chdir(home)
    last = here("segment 'in/*.png' --features classical --format psd --json", capsys).splitlines()
    assert [json.loads(line)['new'] for line in last] == [False, False]


def test_layers_auto(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    line = 'segment in/scene1.png --features classical --layers auto --out auto --format npz --json'
    told = json.loads(here(line, capsys))
    assert 2 <= told['layers'] <= 10
    assert read_layers(home/'auto/scene1.npz')[1].shape == (SIDE, SIDE, told['layers'])


WRONG = {
    'segment none.jpg': 'no such file; check the path',
    'pick none.jpg --point 5,5 --out a.png': 'got no such file; check the name',
    "segment 'in/*.gif'": 'photographs, got none in in/*.gif',
    'segment in --format gif': "'ora', 'tif', 'npz', got 'gif'",
    'segment in --layers 0': 'expected --layers to be a number from 1, or auto, got 0',
    'segment in --layers five': 'got five',
    'segment in --preset best': "'best'",
    'segment in --max-size 2': 'of at least 3, got 2',
    'segment in --max-memory -1': 'got -1',
    'segment in --features none': "got 'none'",
    'segment in --device tpu': 'tpu',
    'segment in --workers 1 --scheduler tcp://host:1': 'leave one out',
    'segment in --format psd --everything': 'expected --format folder for --everything',
    'segment in --features classical --layers 3': 'or use --force',
    'segment in/scene1.png --out in': 'the photographs themselves',
    'segment in --out in/scene1.png': 'expected a folder at in/scene1.png',
    'segment': 'PHOTO',
    'pick layers/scene1.png --out a.png': 'give --point X,Y, --box L,T,R,B or --mask FILE',
    'pick layers/scene1.png --point 20,5 --out a.png': 'x from 0 to 19 and y from 0 to 19, got (20, 5)',
    'pick in/scene1.png --point -1,5 --out a.png': 'x from 0 to 19 and y from 0 to 19, got (-1, 5)',
    'pick layers/scene1.png --point here --out a.png': '2 whole numbers with commas for --point, got here',
    'pick layers/scene1.png --box 0,0,20,20 --out a.png': 'a box with something outside it',
    'pick layers/scene1.png --point 5,5 --out a.gif': "got '.gif'",
    'pick layers/scene1.png --point 5,5 --out none/a.png': 'make it first',
    'pick layers/scene1.png --point 5,5 --out in/scene1.png': 'one that exists; choose a new name or use --force',
    'pick layers/scene1.png --point 5,5 --max-size 10 --out a.png': 'expected a photograph for --max-size',
    'pick layers/scene1.png --point 5,5 --rank 0 --out a.png': 'got 0',
    'pick layers/scene1.png --mask none.png --out a.png': 'none.png',
    'pick in --point 5,5 --out a.png': 'as `sss segment` writes one, got in; segment the photograph first',
    'pick layers --point 5,5 --out a.png': 'did you mean layers/scene1.png?',
    'pick in/scene1.png --point 5,5': '--out',
    'matte in/scene1.png --out a.png': 'expected --trimap FILE or --from-layers N,N, got neither',
    'matte in/scene1.png --trimap trimap.png --from-layers 1 --out a.png': 'leave one out',
    'matte in/scene1.png --trimap trimap.png --width .1 --out a.png': '--trimap and --width, got both',
    'matte in/scene1.png --trimap trimap.png --preset paper --out a.png': '--trimap and --preset, got both',
    'matte layers/scene1.png --from-layers 1 --tolerance 9 --out a.png': '--from-layers and --tolerance, got both',
    'matte in/scene1.png --trimap none.png --out a.png': 'none.png',
    'matte in/scene1.png --trimap in/broken.jpg --out a.png': 'cannot be read',
    'matte in/scene1.png --trimap in/scene2.png --out a.png': 'a grey picture, got one in colours',
    'matte in/scene1.png --trimap greys.png --out a.png': 'pixels of others: 102, 204; save it as PNG without '
                                                          'smoothing, or raise the tolerance, as in --tolerance 40',
    'matte in/scene1.png --trimap short.png --out a.png': 'the trimap short.png of the size 20x20 of the image',
    'matte layers/scene1.png --trimap short.png --out a.png': 'the trimap short.png of the size 20x20 of the image',
    'matte in/scene1.png --trimap hard.png --out a.png': 'hard.png with unknown pixels, got none',
    'matte in/scene1.png --trimap no_front.png --out a.png': 'with known foreground pixels, got none',
    'matte in/scene1.png --trimap no_back.png --out a.png': 'with known background pixels, got none',
    'matte in/scene1.png --trimap black.png --out a.png': 'with known foreground pixels, got none',
    'matte in/broken.jpg --trimap trimap.png --out a.png': 'cannot be read',
    'matte in/none.png --from-layers 1 --out a.png': 'in/none.png',
    'matte in/scene1.png --from-layers 5 --out a.png': 'from 0 to 4, got 5',
    'matte layers/scene1.png --from-layers 1,-1 --out a.png': 'from 0 to 4, got -1',
    'matte layers/scene1.png --from-layers fur --out a.png': 'whole numbers with commas for --from-layers, got fur',
    'matte layers/scene1.png --from-layers 0,1,2,3,4 --out a.png': 'some of 5 layers',
    'matte layers/scene1.png --from-layers 1 --width 3 --out a.png': 'below 0.5',
    'matte layers/scene1.png --from-layers 1 --fit --out a.png': 'expected a photograph for --fit',
    'matte in --from-layers 1 --out a.png': 'segments.json',
    'matte in/scene1.png --trimap trimap.png --method poisson --out a.png': "'poisson'",
    'matte in/scene1.png --trimap trimap.png --bits 12 --out a.png': 'expected --bits 8 or 16, got 12',
    'matte in/scene1.png --trimap trimap.png --bits 16 --out a.jpg': 'for --bits 16',
    'matte in/scene1.png --trimap trimap.png --out a.psd': "got '.psd'",
    'matte in/scene1.png --trimap trimap.png --out a.png --cutout a.jpg': "the ending of --cutout",
    'matte in/scene1.png --trimap trimap.png --out a.png --cutout a.png': 'expected two files',
    'matte in/scene1.png --trimap trimap.png --out short.png': 'choose a new name or use --force',
    'matte in/scene1.png --trimap trimap.png': '--out',
    'matte in/scene1.png --trimap trimap.png --weights w --out a.png': 'expected --method semantic for --weights',
    'matte in/scene1.png --trimap trimap.png --method semantic --weights w --out a.png': 'a folder of weights at w',
    'segment in/scene1.png --refine poisson': "'poisson'",
    'segment in/scene1.png --weights w': 'expected --refine semantic for --weights, got none',
    'segment in/scene1.png --refine semantic --weights in': 'network.safetensors',
    'edit layers/scene1.png --point 5,5 --out a.png': 'expected an edit',
    'edit layers/scene1.png --point 5,5 --desaturate 2 --out a.png': 'from 0 to 1, got 2',
    'edit layers/scene1.png --point 5,5 --new-background sky.jpg --out a.png': 'got sky.jpg',
    'edit layers/scene1.png --point 5,5 --rest --move 1,1 --out a.png': 'leave one out',
    'features in/scene1.png --out a.txt': "got '.txt'",
    'features in/broken.jpg --out a.npy': 'cannot be read',
    'train in --out run': 'scene',
    'train none --out run': 'none',
    'features in/scene1.png --features classical --out in/scene1.npy --force': 'got in/scene1.png, which would be lost',
    'edit in/scene1.png --point 5,5 --desaturate 1 --out in/scene1.png --force': 'choose another name',
    'pick in/scene1.png --point 5,5 --out in/../in/scene1.png --force': 'which would be lost',
    'matte in/scene1.png --trimap trimap.png --out in/scene1.png --force': 'which would be lost',
    'matte in/scene1.png --trimap trimap.png --out a.png --cutout in/scene1.png --force': 'which would be lost',
    'matte in/scene1.png --trimap trimap.png --out trimap.png --force': 'got trimap.png, which would be lost',
    'paint in': 'paint',
}


@pytest.mark.parametrize('line', WRONG)
def test_what_makes_no_sense(line, home, first, monkeypatch, capsys):
    "Exit code 2, a message that says so, and nothing written."
    monkeypatch.chdir(home)
    def there(): return {p: p.is_file() and p.read_bytes() for p in home.rglob('*')}
    before = there()
    code, said = main(shlex.split(line)), capsys.readouterr()
    assert code == 2 and WRONG[line] in ' '.join(said.err.split()) and 'Traceback' not in said.err, said
    assert said.out == '' and there() == before


def test_what_makes_no_sense_for_a_shell(home, first):
    done = sss('pick layers/scene1.png --point 20,5 --out a.png', home)
    assert done.returncode == 2 and done.stdout == '' and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith('sss: expected a point in the picture')


def test_too_large_for_the_memory(home, monkeypatch, capsys):
    "The size that fits is told, and --fit takes it."
    gigabytes = (estimate_memory((SIDE, SIDE), STABLE) - 500_000)/1e9
    line = f'segment in/scene2.png --out tight --features classical --max-memory {gigabytes}'
    refused = sss(line, home)
    size = re.search(r'\(--max-size (\d+), or --fit\)', refused.stderr)
    assert refused.returncode == 1 and size and 10 < int(size[1]) < SIDE, refused.stderr
    monkeypatch.chdir(home)
    for command in ('segment --workers 0 --out none_fits', 'pick --point 5,5 --out a.png'):
        assert main(shlex.split(f'{command} in/scene2.png --max-memory .00001')) == 1
        assert 'GB, and --max-memory allows 1e-05 GB; raise it' in capsys.readouterr().err
    fitted = json.loads(here(f'{line} --fit --json', capsys))
    assert fitted['width'] == int(size[1])


def test_more_layers_than_there_are(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert main(shlex.split(f'segment in/scene1.png --features classical --layers 100000 --out {tmp_path}')) == 0
    said = capsys.readouterr()
    found = re.search(r'scene1.png: (\d+) layers', said.out)[1]
    assert f'sss: scene1.png: no more than {found} layers were found, of 100000 asked for' in said.err


def test_a_damaged_manifest(home, tmp_path, monkeypatch, capsys):
    "It is told what to do, and that helps."
    monkeypatch.chdir(home)
    line, file = f'segment in/scene1.png --features classical --out {tmp_path}', tmp_path/'manifest.json'
    here(line, capsys)
    for text in ('{oops', '[]'):
        file.write_text(text)
        assert main(shlex.split(line)) == 2
        said = capsys.readouterr().err
        assert 'expected a manifest that can be read, got ' in said, said
        assert 'remove it and use --force: what was done is done again' in said, said
    file.unlink()
    here(f'{line} --force', capsys)


def heed_interrupts():
    "A job in the background of a shell ignores them, and so do its children."
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def begin(arguments, place):
    "Start `sss` in a group of its own; the process, and the first line that it prints."
    process = subprocess.Popen(COMMAND + arguments, cwd=place, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed_interrupts)
    return process, process.stdout.readline()


def test_an_interrupted_run_goes_on(tmp_path):
    for k in range(3): save_image(tmp_path/f'scene{k}.png', synthetic_scene(SIDE, seed=k)[0])
    arguments = ['segment', '.', '--out', 'out', '--features', 'classical', '--workers', '0', '--json']
    process, first = begin(arguments, tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    answer, told = process.communicate(timeout=60)
    assert process.returncode == 130 and 'the same command goes on' in told and 'Traceback' not in told, told
    done = [json.loads(line)['photo'] for line in [first, *answer.splitlines()]]
    assert 1 <= len(done) < 3 and not [p for p in (tmp_path/'out').iterdir() if p.name.startswith('.')]
    last = sss(' '.join(arguments), tmp_path)
    new = {o['photo']: o['new'] for o in objects(last)}
    assert last.returncode == 0 and len(new) == 3 and not any(new[name] for name in done)


def test_bars_and_answers_are_apart(home):
    "On a terminal a bar is drawn on standard error, and taken away at the end; answers are on standard output."
    screen, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    words = shlex.split('segment in/scene1.png --out bar --features classical --json')
    done = subprocess.Popen(COMMAND + words, cwd=home, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=end)
    os.close(end)
    drawn = b''
    try:
        while part := os.read(screen, 65536): drawn += part
    except OSError: pass            # the other end was closed
    os.close(screen)
    assert json.loads(done.communicate()[0])['status'] == 'done' and done.returncode == 0
    drawn = drawn.decode().split('\r')
    assert any(re.match(r'scene1.png: eigenvectors: +\d+%\|', text) for text in drawn), drawn
    assert max(map(len, drawn)) <= 80 and not drawn[-1].strip() and not drawn[-2].strip(), drawn


def test_a_reader_who_leaves(tmp_path):
    "`sss info | head -n 0` ends in silence."
    process = subprocess.Popen(COMMAND + ['info'], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == '' and process.wait() == 1


# --------------------------------------------------------------------------------------- pick, edit, features, train

def inside(k):
    "A pixel of the scene's thing number 1, (x, y), and one of its background."
    alphas = synthetic_layers(SIDE, k)[1]
    def place(layer): return np.unravel_index(alphas[..., layer].argmax(), alphas.shape[:2])[::-1]
    return [','.join(map(str, place(layer))) for layer in (1, 0)]


def test_pick(home, first, monkeypatch, capsys):
    monkeypatch.chdir(home)
    point, background = inside(1)
    marks = f'--point {point} --background {background}'
    done = sss(f'pick layers/scene1.png {marks} --out cut.png --json', home)
    told, = objects(done)
    assert done.returncode == 0 and told['files'] == ['cut.png'] and 0 < told['share'] < 1
    with Image.open(home/'cut.png') as im: alpha = np.asarray(im)[..., 3]/255
    assert alpha.shape == (SIDE, SIDE) and abs(alpha.mean() - told['share']) < .005
    at = tuple(map(int, reversed(point.split(','))))
    assert alpha[at] > alpha[tuple(map(int, reversed(background.split(','))))]
    here(f'pick layers/scene1.png {marks} --out matte.png --matte', capsys)
    assert np.abs(load_image(home/'matte.png')[..., 0] - alpha).max() < 1e-9
    here('pick layers/scene1.png --mask matte.png --out both.psd', capsys)
    colors, alphas, names = read_layers(home/'both.psd')
    assert names == ['rest', 'object']
    picture = np.einsum('hwk,hwkc->hwc', alphas, colors)
    assert np.abs(picture - load_image(home/'in/scene1.png')).max() <= 1/255


def test_pick_in_a_reduced_photograph(home, monkeypatch, capsys):
    "Marks are in pixels of the photograph; one of one colour has no object."
    monkeypatch.chdir(home)
    told = here('pick in/scene2.png --point 18,18 --features classical --max-size 14 --out small.png --json', capsys)
    assert json.loads(told)['width'] == 14
    save_image(home/'grey.png', np.full((SIDE, SIDE, 3), .5))
    code = main(shlex.split('pick grey.png --point 5,5 --features classical --out grey_cut.png'))
    assert code == 2 and 'grey.png of one colour' in capsys.readouterr().err and not (home/'grey_cut.png').exists()


def grey16(path):
    with Image.open(path) as im: return np.asarray(im)/65535


def test_matte_of_a_trimap(home, monkeypatch, capsys):
    "What `matte` finds, in 8 and 16 bits, and the object cut out; a trimap with 127 or 129 is one as well."
    monkeypatch.chdir(home)
    image, trimap = load_image('in/scene1.png'), read_trimap('trimap.png')
    done = sss('matte in/scene1.png --trimap trimap.png --out m8.png --cutout cut_m.png --json', home)
    told, = objects(done)
    assert done.returncode == 0 and told['files'] == ['m8.png', 'cut_m.png'] and told['method'] == 'closed-form'
    assert told['width'] == SIDE and abs(told['unknown'] - (trimap == .5).mean()) < 1e-3
    alpha = matte(image, trimap)
    assert np.abs(load_image('m8.png')[..., 0] - alpha).max() <= .5/255 + 1e-9
    with Image.open('cut_m.png') as im: assert im.mode == 'RGBA'
    words = here('matte in/scene1.png --trimap near.png --method information-flow --bits 16 --out m16.png', capsys)
    said = r'in/scene1.png: matte by information-flow of 20 x 20 pixels, [\d.]+% of them unknown, in [\d.]+ s: m16.png$'
    assert re.match(said, words)
    assert np.abs(grey16('m16.png') - matte(image, trimap, 'information-flow')).max() <= .5/65535 + 1e-9
    here('matte in/scene1.png --trimap trimap.png --out m8.png --cutout cut_m.psd --force', capsys)
    colors, alphas, names = read_layers('cut_m.psd')
    assert names == ['rest', 'object'] and np.abs(alphas[..., 1] - alpha).max() < 1/255
    told = json.loads(here('matte in/scene1.png --trimap trimap.png --max-size 18 --out small_m.png --json', capsys))
    assert told['width'] == 18 and load_image('small_m.png').shape == (18, 18, 3)


def test_matte_of_layers(home, first, monkeypatch, capsys):
    "Of a folder, and of a photograph whose layers are made for it: the same."
    monkeypatch.chdir(home)
    segments = SoftSegments.load('layers/scene1.png')
    areas = segments.clipped.sum((0, 1))
    two = np.argsort(areas)[-2:].tolist()
    line = f'--from-layers {two[0]},{two[1]} --width .02 --bits 16'
    here(f'matte layers/scene1.png {line} --out kept.png', capsys)
    alpha = matte(segments.image, object_trimap(segments, two, .02))
    assert np.abs(grey16('kept.png') - alpha).max() <= .5/65535 + 1e-9
    here(f'matte in/scene1.png {line} --features classical --out made.png', capsys)
    assert np.abs(grey16('made.png') - grey16('kept.png')).max() < 1e-3


def test_matte_and_layers_of_weights(home, monkeypatch, capsys):
    "A network of random weights, one that sees no semantic trimap: what `matte` finds by it."
    torch.manual_seed(0)
    net = SemanticMattingNet('lite', semantic=False, width=12)
    torch.nn.init.normal_(net.heads.alpha[-1].weight, std=.1)
    (home/'weights').mkdir()
    save_weights(net, home/'weights/network.safetensors', dtype='float32')
    monkeypatch.chdir(home)
    image, alphas = synthetic_scene(40, seed=3)
    save_image('large.png', image)
    known = trimap_from_matte(alphas[..., 4], 2)
    save_image('large_t.png', known)
    here('matte large.png --trimap large_t.png --tolerance 2 --method semantic --weights weights --bits 16 --out s.png',
         capsys)
    alpha = matte(load_image('large.png'), known, 'semantic', weights='weights')
    assert np.abs(grey16('s.png') - alpha).max() <= .5/65535 + 1e-6 and alpha[known == .5].std() > 0

def test_segment_and_refine(home, monkeypatch, capsys):
    "Layers as `refine_layers` makes them; those of another method are made again; the folder says how."
    monkeypatch.chdir(home)
    segment = 'segment in/scene1.png --features classical --quiet'
    here(f'{segment} --out plain', capsys)
    here(f'{segment} --refine closed-form --out refined', capsys)
    plain, found = (SoftSegments.load(f'{folder}/scene1.png') for folder in ('plain', 'refined'))
    assert plain.refined == '' and found.refined == 'closed-form, width 0.01'
    assert np.allclose(found.alphas, refine_layers(plain).alphas, atol=1e-6)
    before = Path('refined/scene1.png/segments.json').stat().st_mtime_ns
    here(f'{segment} --refine closed-form --out refined', capsys)
    assert Path('refined/scene1.png/segments.json').stat().st_mtime_ns == before, 'done already'
    here(f'{segment} --refine information-flow --out refined --force', capsys)
    assert SoftSegments.load('refined/scene1.png').refined == 'information-flow, width 0.01'

def test_methods_of_the_command():
    "Those that there are, no more and no fewer."
    from sss_nb.cli import _MatteMethod
    assert _MatteMethod.__origin__.__args__ == (*MATTE_METHODS, *SEMANTIC)


def test_edit(home, first, monkeypatch, capsys):
    monkeypatch.chdir(home)
    point, background = inside(1)
    marks = f'layers/scene1.png --point {point} --background {background}'
    save_image(home/'sky.png', np.tile([.1, .3, .9], (10, 30, 1)))
    done = sss(f'edit {marks} --new-background sky.png --desaturate 1 --out new.png', home)
    words = r'layers/scene1.png: --desaturate, --new-background for the object, [\d.]+% of 20 x 20 pixels in [\d.]+ s'
    assert done.returncode == 0 and re.match(words, done.stdout), done.stdout + done.stderr
    here(f'pick {marks} --out edge.png --matte', capsys)
    alpha, new = load_image(home/'edge.png')[..., 0], load_image(home/'new.png')
    assert np.abs(new[alpha < .01] - [.1, .3, .9]).max() < .02 and np.ptp(new[alpha > .99], axis=-1).max() < .02
    told = json.loads(here(f'edit {marks} --rest --defocus 2 --exposure -1 --out new.psd --json', capsys))
    assert told['edits'] == dict(exposure=-1, defocus=2) and told['rest']
    assert read_layers(home/'new.psd')[2] == ['rest', 'object']
    here(f'edit {marks} --motion-blur 4,90 --move -2,1 --warmth 1 --out moved.jpg', capsys)
    assert load_image(home/'moved.jpg').shape == (SIDE, SIDE, 3)


def test_features_and_training(home, monkeypatch, capsys):
    done = sss('features in/scene1.png --features classical --out f.npy --json', home)
    told, = objects(done)
    assert done.returncode == 0 and np.load(home/'f.npy').shape == (SIDE, SIDE, told['channels'])
    assert load_image(home/'f.png').shape == (SIDE, SIDE, 3)
    (home/'photos').mkdir()
    for k in range(2):
        save_image(home/f'photos/s{k}.jpg', synthetic_scene(32, seed=k)[0])
        save_image(home/f'photos/s{k}_label.png', synthetic_layers(32, k)[1].argmax(-1)/255)
    done = sss('train photos --out run --network superpixel --channels 4 --widths 4,8 --crop 32,32 --steps 2 '
               '--batch 1 --json', home)
    told, = objects(done)
    assert done.returncode == 0 and told['images'] == 2 and (home/told['file']).exists(), done.stderr
    monkeypatch.chdir(home)
    again = json.loads(here(f'features in/scene1.png --features {told["file"]} --out g.npz --json', capsys))
    assert again['channels'] == 4
