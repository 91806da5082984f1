"""Files with layers: what editors make of them, and that nothing is lost or half-written."""
import errno
import io
import json
import os
import shutil
import subprocess
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from house import ROOT, python
from PIL import Image
from psd_tools import PSDImage
from psd_tools.composite import composite as psd_composite
from psd_tools.constants import Compression, Resource
from psd_tools.psd import PSD

from sss_nb.layers import files
from sss_nb.layers.colors import composite, layer_colors
from sss_nb.layers.files import FORMATS, export_layers, picture_profile, read_layers
from sss_nb.params import STABLE
from sss_nb.pictures.files import load_image
from sss_nb.pictures.registry import fetch
from sss_nb.pictures.scene import SCENE_LAYERS, synthetic_layers
from sss_nb.pipeline import semantic_soft_segmentation
from sss_nb.result import SoftSegments

ENDINGS = sorted(FORMATS.keys() - {'.tiff'})
NAMES = ['Hintergrund', 'Ball in Fahrt', '目', 'box & lid', 'pelé']
HALF = np.full((6, 5, 2, 3), .5), np.full((6, 5, 2), .5)          # the smallest layers that will do

def tree(folder): return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*') if p.is_file()}

# -------------------------------------------------------------------------------------------- in the editors

@pytest.fixture(scope='module')
def photo():
    "A photograph of 8 bits, and the alphas of a scene with five layers, which share many of its pixels."
    image = np.round(255*load_image(fetch('chelsea'), max_size=160))/255
    alphas = synthetic_layers(image.shape[:2])[1]
    return image, layer_colors(image, alphas), alphas

@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "A home folder for the programs, in which they leave what they like."
    path = tmp_path_factory.mktemp('home')
    path.chmod(0o700)
    return os.environ | dict(HOME=str(path), XDG_RUNTIME_DIR=str(path), XDG_CONFIG_HOME=str(path/'config'),
                             XDG_DATA_HOME=str(path/'data'), XDG_CACHE_HOME=str(path/'cache'))

def version(program):
    try: done = subprocess.run([program, '--version'], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError): return ''
    return done.stdout

def levels(path): return np.asarray(Image.open(path).convert('RGB')).astype(int)

GIMP = '''
(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "{file}" "{file}"))) (layers (gimp-image-get-layers image))
       (channels (gimp-image-get-channels image)))
  (define (told word items)
    (for-each (lambda (i) (gimp-message (string-append word (car (gimp-item-get-name i)))))
              (vector->list (cadr items))))
  (told "layer:" layers)
  (told "channel:" channels)
  (if {perceptual}
    (for-each (lambda (i) (gimp-layer-set-blend-space i LAYER-COLOR-SPACE-RGB-PERCEPTUAL)
                          (gimp-layer-set-composite-space i LAYER-COLOR-SPACE-RGB-PERCEPTUAL))
              (vector->list (cadr layers))))
  (gimp-image-flatten image)
  (file-png-save RUN-NONINTERACTIVE image (car (gimp-image-get-active-drawable image)) "{out}" "{out}" 0 9 0 0 0 0 0))
'''

def gimp(file, out, home, perceptual=False):
    "The names that GIMP finds, as lines; the flattened picture goes to `out`."
    if not shutil.which('gimp'): pytest.skip('there is no gimp: apt-get install gimp')
    if '2.10' not in version('gimp'): pytest.skip('written in the Script-Fu of GIMP 2.10')
    script = GIMP.format(file=file, out=out, perceptual='#t' if perceptual else '#f')
    done = subprocess.run(['gimp', '-i', '-d', '-f', '-b', script, '-b', '(gimp-quit 0)'], env=home, timeout=300,
                          capture_output=True, text=True)
    assert out.exists(), done.stdout + done.stderr
    return [line.removeprefix('script-fu-Warning: ') for line in done.stderr.splitlines()]

def told(off, program, ending):
    "Say how far, in levels, a program shows another picture; it must be one level at most."
    share = (off > .5).any(-1).mean()
    print(f'{program}, {ending}: largest difference {off.max():.0f}/255, at {share:.2%} of the pixels')
    assert off.max() <= 1 + 1e-9

@pytest.mark.parametrize('ending', ['.psd', '.psb'])
def test_psd_tools_shows_the_photograph(photo, tmp_path, ending):
    image, colors, alphas = photo
    psd = PSDImage.open(export_layers(tmp_path/f'a{ending}', colors, alphas, names=NAMES))
    told(abs(np.round(255*psd_composite(psd, force=True)[0]) - 255*image), 'psd-tools', ending)
    assert [layer.name for layer in psd] == NAMES

@pytest.mark.parametrize('ending', ['.psd', '.tif'])
def test_gimp_shows_the_photograph(photo, tmp_path, home, ending):
    "It blends the pages of a TIFF in linear light unless told otherwise; the layers of a PSD as they were meant."
    image, colors, alphas = photo
    path = export_layers(tmp_path/f'a{ending}', colors, alphas, names=NAMES)
    lines = gimp(path, tmp_path/'a.png', home, perceptual=ending == '.tif')
    told(abs(levels(tmp_path/'a.png') - 255*image), 'GIMP', ending)
    assert [line[6:] for line in lines if line.startswith('layer:')] == NAMES[::-1]
    if ending == '.psd': assert [line[8:] for line in lines if line.startswith('channel:')] == NAMES

@pytest.mark.parametrize('ending', ['.psd', '.psb', '.ora', '.tif'])
def test_krita_shows_the_photograph(photo, tmp_path, home, ending):
    for program in ('krita', 'xvfb-run'):
        if not shutil.which(program): pytest.skip(f'there is no {program}: apt-get install krita xvfb xauth')
    image, colors, alphas = photo
    path = export_layers(tmp_path/f'a{ending}', colors, alphas, names=NAMES)
    done = subprocess.run(['xvfb-run', '-a', 'krita', path, '--export', '--export-filename', tmp_path/'a.png'],
                          env=home, timeout=300, capture_output=True, text=True)
    assert (tmp_path/'a.png').exists(), done.stdout + done.stderr
    told(abs(levels(tmp_path/'a.png') - 255*image), 'Krita', ending)

# ------------------------------------------------------------------------------------------ of a whole result

def scene(**given):
    colors, alphas = synthetic_layers((37, 70))
    return SoftSegments(alphas, STABLE, **dict(image=(alphas[..., None]*colors).sum(2)) | given)

@pytest.mark.parametrize('ending', ENDINGS)
def test_a_result_is_exported_with_its_colours(tmp_path, ending):
    segments = scene()
    colors, alphas, names = read_layers(segments.export(tmp_path/f'a{ending}', SCENE_LAYERS))
    assert names == list(SCENE_LAYERS) and abs(composite(colors, alphas) - segments.image).max() < .51/255
    assert abs(colors - layer_colors(segments.image, segments))[segments.alphas > .5].max() < 4/255
    with pytest.raises(FileExistsError, match='overwrite=True'): segments.export(tmp_path/f'a{ending}')
    assert read_layers(segments.export(tmp_path/f'a{ending}', overwrite=True))[2][0] == 'layer 1'

def test_a_result_keeps_what_its_photograph_says(tmp_path):
    "A run that is given the path of a photograph in Adobe RGB that is stored on its side."
    adobe, exif = Image.open(fetch('rocket')).info['icc_profile'], Image.Exif()
    exif[0x0112], exif[315] = 6, 'A. Photographer'
    numbers = np.round(255*load_image(fetch('chelsea'), max_size=32)).astype(np.uint8)
    Image.fromarray(np.rot90(numbers)).save(tmp_path/'a.png', exif=exif, icc_profile=adobe)
    segments = semantic_soft_segmentation(tmp_path/'a.png', 'classical', progress=False)
    segments = SoftSegments.load(segments.save(tmp_path/'saved', everything=False)).merge([0, 1])
    psd = PSDImage.open(segments.export(tmp_path/'a.psd'))
    assert abs(255*psd_composite(psd, force=True)[0] - numbers).max() <= 2
    profile, kept = picture_profile(segments.export(tmp_path/'a')/'01-layer 1.png')
    assert profile == adobe == psd.image_resources.get_data(Resource.ICC_PROFILE)
    notes = Image.Exif()
    notes.load(kept)
    assert notes[0x0112] == 1 and notes[315] == 'A. Photographer'
    (tmp_path/'a.png').rename(tmp_path/'b.png')
    with pytest.warns(UserWarning, match='a.png is gone'): segments.export(tmp_path/'c.psd')
    path = segments.export(tmp_path/'d.psd', photo=tmp_path/'b.png')
    assert PSDImage.open(path).image_resources.get_data(Resource.ICC_PROFILE) == adobe

@pytest.mark.parametrize('ending', ENDINGS)
def test_a_result_that_cannot_be_exported(tmp_path, monkeypatch, ending):
    "Layers that miss the sum, no image, no such format, a name that is taken: nothing is computed or written."
    def never(*args): raise AssertionError('colours were computed')
    monkeypatch.setattr('sss_nb.layers.colors.layer_colors', never)
    good, path = scene(), tmp_path/f'a{ending}'
    half = replace(good, alphas=good.alphas*.5)
    with pytest.raises(ValueError, match='expected alphas that sum to 1 .* got .* 0.5; .*divide'): half.export(path)
    with pytest.raises(ValueError, match='a result with its image.*run the'): scene(image=None).export(path)
    with pytest.raises(ValueError, match='of the size'): replace(good, image=np.zeros((9, 9, 3))).export(path)
    with pytest.raises(ValueError, match=r"one of '.psd'.*'.npz', '', got '.gif'"): good.export(tmp_path/'a.gif')
    assert not list(tmp_path.iterdir())
    path.mkdir() if ending == '' else path.write_bytes(b'mine')
    before = tree(tmp_path)
    with pytest.raises(FileExistsError, match='choose a new'): good.export(path)
    assert tree(tmp_path) == before

def test_a_result_too_large_for_its_format(tmp_path, monkeypatch):
    monkeypatch.setattr('sss_nb.layers.colors.layer_colors', None)                     # is not called
    long = SoftSegments(np.ones((3, 30_001, 1)), STABLE, image=np.zeros((3, 30_001, 3)))
    with pytest.raises(ValueError, match=r"at most 30000 pixels a side in .psd, got 3 x 30001; name it '.psb'"):
        long.export(tmp_path/'a.psd')
    many = SoftSegments(np.full((3, 3, 54), 1/54), STABLE, image=np.zeros((3, 3, 3)))
    with pytest.raises(ValueError, match=r"at most 53 layers in .psb, got 54; name it '.tif'"):
        many.export(tmp_path/'a.psb')
    assert not list(tmp_path.iterdir())

def test_only_who_exports_waits_for_the_formats():
    done = python('import sys, sss_nb.result; print(*sys.modules); import sss_nb.layers.files; print(*sys.modules)',
                  cwd=ROOT.parent, PYTHONPATH=str(ROOT))
    result, layers = (set(line.split()) for line in done.stdout.splitlines())
    assert not result & {'sss_nb.layers.files', 'sss_nb.layers.colors'}, done.stderr
    assert not layers & {'psd_tools', 'tifffile'}

# ----------------------------------------------------------------------------------------- whole or not at all

@pytest.mark.parametrize('ending', ENDINGS)
def test_of_two_exports_to_one_name_one_wins(tmp_path, monkeypatch, ending):
    "All four have looked and found the name free; then all four write."
    barrier, told, won = threading.Barrier(4), [], []
    where = 'write_atomic' if ending else 'write_folder'
    write = getattr(files, where)
    def together(*args):
        barrier.wait(60)
        return write(*args)
    monkeypatch.setattr(files, where, together)
    def export(k):
        try: won.append((k, export_layers(tmp_path/f'a{ending}', *HALF, names=[f'{k}', 'b'])))
        except FileExistsError as error: told.append(str(error))
    threads = [threading.Thread(target=export, args=(k,)) for k in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    [(k, path)] = won
    assert len(told) == 3 and all('choose a new' in text for text in told)
    assert read_layers(path)[2] == [f'{k}', 'b'] and os.listdir(tmp_path) == [f'a{ending}']

@pytest.mark.parametrize('ending', ENDINGS)
def test_exports_that_overwrite_one_name(tmp_path, ending):
    "One of them is there in the end, whole."
    path, failed = export_layers(tmp_path/f'a{ending}', *HALF), []
    def export(k):
        try: export_layers(path, *HALF, names=[f'{k}', 'b'], overwrite=True)
        except OSError as error: failed.append(error)
    threads = [threading.Thread(target=export, args=(k,)) for k in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert read_layers(path)[2][0] in '0123' and len(failed) < 4 and os.listdir(tmp_path) == [f'a{ending}']

@pytest.mark.parametrize('ending', ENDINGS)
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, ending):
    path = export_layers(tmp_path/f'a{ending}', *HALF)
    before = tree(tmp_path)
    def full(self, data):
        with open(self, 'wb') as f: f.write(data[:10])
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match='full disk'): export_layers(path, *HALF, overwrite=True)
    with pytest.raises(OSError, match='full disk'): export_layers(tmp_path/f'b{ending}', *HALF)
    assert tree(tmp_path) == before and len(os.listdir(tmp_path)) == 1

@pytest.mark.skipif(not Path('/sys/kernel').is_dir(), reason='no folder in which even root may not write')
@pytest.mark.parametrize('ending', ENDINGS)
def test_a_folder_that_is_not_writable(ending):
    with pytest.raises(OSError, match='choose another place') as told: export_layers(f'/sys/kernel/a{ending}', *HALF)
    assert told.value.errno in (errno.EACCES, errno.EPERM, errno.EROFS)

def test_overwriting_replaces_only_its_own_kind(tmp_path):
    (tmp_path/'mine').mkdir()
    (tmp_path/'b').write_text('a note')
    (tmp_path/'folder.psd').mkdir()
    with pytest.raises(FileExistsError, match='not written by'): export_layers(tmp_path/'mine', *HALF, overwrite=True)
    with pytest.raises(FileExistsError, match='not written by'): export_layers(tmp_path/'b', *HALF, overwrite=True)
    with pytest.raises(IsADirectoryError, match='choose'): export_layers(tmp_path/'folder.psd', *HALF, overwrite=True)
    path = export_layers(tmp_path/'a.psd', *HALF)
    assert export_layers(path, *HALF, names=['new', 'b'], overwrite=True) == path
    assert read_layers(path)[2] == ['new', 'b']

def test_a_link_to_nowhere_is_a_name_that_is_taken(tmp_path):
    (tmp_path/'a.ora').symlink_to('nowhere')
    with pytest.raises(FileExistsError): export_layers(tmp_path/'a.ora', *HALF)

def test_folders_end_with_a_slash_or_have_no_ending(tmp_path):
    for name in ('a', 'b.psd/'): assert export_layers(f'{tmp_path}/{name}', *HALF).is_dir()
    with pytest.raises(ValueError, match="end it with '/'"): export_layers(tmp_path/'c.2026', *HALF)
    assert export_layers(tmp_path/'A.PSD', *HALF).read_bytes()[:4] == b'8BPS'

def test_a_psd_of_more_than_two_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setitem(files._LIMITS, '.psd', (30_000, 1000, "name it '.psb'"))
    with pytest.raises(ValueError, match=r'at most 1000 bytes in .psd, got \d+; name it'):
        export_layers(tmp_path/'a.psd', *HALF)
    assert not list(tmp_path.iterdir()) and export_layers(tmp_path/'a.psb', *HALF).exists()

# ---------------------------------------------------------------------------------------------- damaged files

def written(path):
    "A file with layers, or one of a folder's."
    path = export_layers(path, *synthetic_layers((37, 70)))
    return path, path/'02-layer 2.png' if path.is_dir() else path

@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.parametrize('share', [0, .01, .3, .6, .9, .99])
def test_a_file_that_was_cut_short(tmp_path, ending, share):
    path, file = written(tmp_path/f'a{ending}')
    whole = file.read_bytes()
    file.write_bytes(whole[:int(share*len(whole))])
    with pytest.raises(ValueError, match=f'{path}.*again'): read_layers(path)

@pytest.mark.parametrize('ending', ['.ora', '.tif', '.npz', ''])
def test_a_wrong_byte_among_the_pixels(tmp_path, ending):
    "A Photoshop file has no checksums."
    path, file = written(tmp_path/f'a{ending}')
    whole = bytearray(file.read_bytes())
    whole[len(whole)//3] ^= 1
    file.write_bytes(whole)
    with pytest.raises(ValueError, match=f'{path}.*again'): read_layers(path)

def test_a_tiff_that_has_lost_its_last_pages(tmp_path):
    path, _ = written(tmp_path/'a.tif')
    with tifffile.TiffFile(path) as tiff: page = tiff.pages[2]
    data = bytearray(path.read_bytes())
    end = page.offset + 2 + 12*len(page.tags)
    data[end:end + 4] = bytes(4)                                                 # there is no next page
    path.write_bytes(data)
    with pytest.raises(ValueError, match='expected 5 pages, got 3'): read_layers(path)

def test_a_folder_whose_list_is_damaged(tmp_path):
    path, _ = written(tmp_path/'a')
    for text in ('{"layers": [', '{"layers": [{"file": 1}]}', '[]'):
        (path/'layers.json').write_text(text)
        before = tree(path)
        with pytest.raises(ValueError, match='layers.json.*remove'): read_layers(path)
        with pytest.raises(ValueError, match='layers.json.*remove'): export_layers(path, *HALF, overwrite=True)
        assert tree(path) == before and os.listdir(tmp_path) == ['a']
    (path/'layers.json').write_text(json.dumps(dict(layers=[dict(file='gone.png', name='a')])))
    with pytest.raises(FileNotFoundError, match='gone.png'): read_layers(path)
    shutil.rmtree(path)
    path.mkdir()
    with pytest.raises(FileNotFoundError, match='written by export_layers'): read_layers(path)

def test_files_of_another_kind(tmp_path):
    np.savez(tmp_path/'a.npz', other=np.zeros(3))
    np.savez(tmp_path/'b.npz', colors=np.zeros((2, 2, 1, 3)), alphas=np.zeros((3, 3, 1)), names=np.array(['a']))
    PSDImage.new('RGB', (5, 6)).save(tmp_path/'c.psd')
    Image.new('RGB', (5, 6)).save(tmp_path/'d.png')
    os.rename(tmp_path/'d.png', tmp_path/'d.psd')
    for name, match in (('a.npz', 'a.npz'), ('b.npz', 'shape'), ('c.psd', 'layers with pixels, got none'),
                        ('d.psd', 'expected a Photoshop file')):
        with pytest.raises(ValueError, match=match): read_layers(tmp_path/name)
    with pytest.raises(ValueError, match="'.psd'.*'.ora'.*'.tif'.*'.npz'"): read_layers(fetch('chelsea'))
    with pytest.raises(FileNotFoundError, match='check the path'): read_layers(tmp_path/'none.psd')
    with pytest.raises(TypeError, match='a path'): read_layers(7)

# --------------------------------------------------------------------------------------------- what is in them

@pytest.mark.parametrize('ending', ENDINGS)
def test_layers_come_back(tmp_path, ending):
    colors, alphas = synthetic_layers((37, 70))
    read = read_layers(export_layers(tmp_path/f'a{ending}', colors, alphas, names=SCENE_LAYERS))
    level = 255 if ending in ('.psd', '.psb', '.ora') else 20_000
    assert read[2] == list(SCENE_LAYERS) and abs(read[1] - alphas).max() < 2/level
    assert abs((read[1][..., None]*read[0]).sum(2) - (alphas[..., None]*colors).sum(2)).max() < .6/level
    most = alphas > .5
    assert abs(read[0] - colors)[most].max() < 4/level

@pytest.mark.parametrize('n', [1, 2, 12])
def test_any_number_of_layers(tmp_path, n):
    rng = np.random.default_rng(n)
    colors, alphas = rng.random((70, 9, n, 3)), rng.dirichlet(np.full(n, .3), (70, 9))
    picture = (alphas[..., None]*colors).sum(2)
    for ending in ENDINGS:
        c, a, names = read_layers(export_layers(tmp_path/f'a{ending}', colors, alphas))
        assert len(names) == n and abs((a[..., None]*c).sum(2) - picture).max() < .51/255, ending

def test_a_layer_that_an_editor_has_cropped(tmp_path):
    "What lies outside the picture is cut off, what is missing is empty."
    rgba = np.full((4, 3, 4), 255, np.uint8)
    placed = files._placed(rgba, -1, 2, (6, 4))
    assert placed[:3, 2:].min() == 1 and placed.sum() == 4*3*2
    assert files._placed(rgba, 5, -2, (6, 4)).sum() == 4
    for place in ((7, 0), (9, 9), (0, 5), (-4, 0), (0, -9)): assert not files._placed(rgba, *place, (6, 4)).any()

def test_layers_that_were_hidden_or_made_fainter(tmp_path):
    "In Photoshop files by psd-tools, in OpenRaster by hand."
    path = export_layers(tmp_path/'a.psd', *HALF)
    psd = PSDImage.open(path)
    psd[0].visible, psd[1].opacity = False, 51
    psd.save(tmp_path/'b.psd')
    assert np.allclose(read_layers(tmp_path/'b.psd')[1], [0, .2*128/255])
    path = export_layers(tmp_path/'a.ora', *HALF)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as z: stored = {name: z.read(name) for name in z.namelist()}
    assert data[30:38] == b'mimetype' and data[38:54] == b'image/openraster'
    text = stored['stack.xml'].replace(b'name="layer 1"', b'name="layer 1" visibility="hidden"')
    stored['stack.xml'] = text.replace(b'name="layer 2"', b'name="layer 2" opacity="0.2"')
    with zipfile.ZipFile(tmp_path/'b.ora', 'w') as z:
        for name, content in stored.items(): z.writestr(name, content)
    assert np.allclose(read_layers(tmp_path/'b.ora')[1], [0, .2*128/255])

@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_notes_of_a_photograph_are_kept_upright(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112], exif[315] = orientation, 'A. Photographer'
    Image.fromarray(np.zeros((6, 5, 3), np.uint8)).save(tmp_path/f'a.{kind}', exif=exif)
    profile, notes = picture_profile(tmp_path/f'a.{kind}')
    assert profile is None
    out = {e: export_layers(tmp_path/f'b{e}', *HALF, exif=notes) for e in ENDINGS}
    psd = PSDImage.open(out['.psd']).image_resources.get_data(Resource.EXIF_DATA_1)
    for data in (notes, psd, Image.open(out['']/'01-layer 1.png').info['exif']):
        kept = Image.Exif()
        kept.load(data)
        assert kept.get(0x0112, 1) == 1 and kept[315] == 'A. Photographer'
    with Image.open(out['.tif']) as tiff: assert tiff.tag_v2[315] == 'A. Photographer'

def test_the_small_picture_in_the_notes_is_dropped():
    "A file in big-endian order with two directories; only the first is kept."
    entry = b'\1\x12\0\3\0\0\0\1\0\6\0\0'
    data = b'MM\0*\0\0\0\x08' + b'\0\1' + entry + b'\0\0\0\x1a' + b'\0\1' + entry + bytes(4)
    kept = files._upright_exif(b'Exif\0\0' + data)
    assert kept == data[:18] + b'\0\1\0\0' + bytes(4) + data[26:]
    with pytest.raises(ValueError, match='leave it out'): files._checked_exif(b'II*\0\xff\xff\0\0')

def test_profiles_that_do_not_fit_are_left_out(tmp_path):
    "A grey picture with a profile, a profile that is noise, no profile."
    profile = Image.open(fetch('rocket')).info['icc_profile']
    grey = profile[:16] + b'GRAY' + profile[20:]
    rgb = Image.fromarray(np.zeros((6, 5, 3), np.uint8))
    for name, image, said in (('a', rgb.convert('L'), grey), ('b', rgb, b'noise'), ('c', rgb, None)):
        image.save(tmp_path/f'{name}.png', icc_profile=said)
        assert picture_profile(tmp_path/f'{name}.png') == (None, None)
    rgb.save(tmp_path/'d.png', icc_profile=profile)
    assert picture_profile(tmp_path/'d.png') == (profile, None)


@pytest.mark.parametrize('packed', [False, True])
def test_other_readers_show_the_picture_of_a_photoshop_file(tmp_path, packed):
    "Pillow and `load_image`, also where the planes of the flat picture are packed, as Photoshop does."
    colors, alphas = synthetic_layers((24, 40), 0)
    image = composite(colors, alphas)
    path = export_layers(tmp_path/'x.psd', colors, alphas)
    shown = [load_image(path)]
    if packed:
        record = PSD.read(io.BytesIO(path.read_bytes()))
        planes = record.image_data.get_data(record.header)
        record.image_data.compression = Compression.RLE
        record.image_data.set_data(planes, record.header)
        with path.open('wb') as file: record.write(file)
        shown = [load_image(path)]
    else: shown.append(np.asarray(Image.open(path).convert('RGB'))/255)
    for picture in shown: assert np.abs(picture - image).max() < 1.01/255
