"""Nothing of the user's is lost: saving, paths, full disks. Each test has failed on version 0.1."""
import errno
import os
from pathlib import Path

import numpy as np
import pytest

from sss_nb import checks, result
from sss_nb.params import OFFICIAL
from sss_nb.pictures import files
from sss_nb.pictures.files import load_image, save_image
from sss_nb.result import SoftSegments

ALPHAS = np.full((8, 8, 5), .2)

def segments(name='', layers=5): return SoftSegments(np.full((8, 8, layers), 1/layers), OFFICIAL, feature_source=name)

def tree(folder): return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob('*') if p.is_file()}

def test_overwriting_keeps_what_is_not_ours(tmp_path):
    target = segments(layers=5).save(tmp_path/'o')
    (target/'retouched.psd').write_text('mine')
    (target/'notes/deep').mkdir(parents=True)
    (target/'notes/deep/a.txt').write_text('mine too')
    (target/'link').symlink_to('notes')
    segments(layers=2).save(target, overwrite=True)
    kept = tree(target)
    assert kept['retouched.psd'] == b'mine' and kept['notes/deep/a.txt'] == b'mine too' and (target/'link').is_symlink()
    assert {n for n in kept if n.startswith('layer')} == {'layer0.png', 'layer1.png'}
    assert SoftSegments.load(target).alphas.shape[-1] == 2 and os.listdir(tmp_path) == ['o']

@pytest.mark.parametrize('system', ['linux', 'another'])
def test_overwriting_without_an_exchange_of_names(tmp_path, monkeypatch, system):
    monkeypatch.setattr(files.sys, 'platform', system)
    target = segments('A').save(tmp_path/'o')
    (target/'mine.txt').write_text('mine')
    segments('B').save(target, overwrite=True)
    assert SoftSegments.load(target).feature_source == 'B' and (target/'mine.txt').read_text() == 'mine'
    assert os.listdir(tmp_path) == ['o']

def test_two_savers_of_one_name(tmp_path, monkeypatch):
    "The second finishes first: one whole result, and one clear error."
    write = result._write
    def slow(*args):
        monkeypatch.setattr(result, '_write', write)
        segments('B').save(tmp_path/'o')
        write(*args)
    monkeypatch.setattr(result, '_write', slow)
    with pytest.raises(FileExistsError, match='one that exists'): segments('A').save(tmp_path/'o')
    assert SoftSegments.load(tmp_path/'o').feature_source == 'B' and os.listdir(tmp_path) == ['o']

def test_a_failure_while_saving_changes_nothing(tmp_path, monkeypatch):
    target = segments('A').save(tmp_path/'o')
    before = tree(target)
    def full(*args): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(result, '_write', full)
    with pytest.raises(OSError, match='full disk'): segments('B').save(target, overwrite=True)
    assert tree(target) == before and os.listdir(tmp_path) == ['o']

def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    def note(number):
        synced.append(os.readlink(f'/proc/self/fd/{number}') if os.path.exists('/proc') else '')
        fsync(number)
    monkeypatch.setattr(files.os, 'fsync', note)
    segments().save(tmp_path/'o')
    names = [Path(p).name for p in synced]
    assert {'arrays.npz', 'segments.json', 'layer0.png'} <= set(names) and names[-1] == tmp_path.name

def test_home_folder_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert segments().save('~/x') == tmp_path/'x' and SoftSegments.load('~/x').alphas.shape == (8, 8, 5)
    assert save_image('~/a.png', np.ones((4, 4, 3))) == tmp_path/'a.png' and load_image('~/a.png').min() == 1
    assert not (tmp_path/'~').exists()

def test_a_file_whose_name_begins_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_image('~photo.png', np.ones((4, 4, 3)))
    assert load_image('~photo.png').shape == (4, 4, 3) and os.listdir() == ['~photo.png']

def test_names_that_are_too_long(tmp_path):
    for call in (lambda: segments().save(tmp_path/('n'*300)),
                 lambda: save_image(tmp_path/('n'*300 + '.png'), np.ones((4, 4, 3)))):
        with pytest.raises(OSError, match='shorter'): call()
    assert segments().save(tmp_path/('n'*250)).is_dir()       # the longest that the system takes, and no longer part

@pytest.mark.skipif(os.name != 'posix' or os.geteuid() == 0, reason='root may write anywhere')
def test_a_place_where_one_may_not_write(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match='choose another place'): segments().save(tmp_path/'o')
    finally: tmp_path.chmod(0o700)

@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG, errno.EDQUOT])
def test_errors_of_the_disk_keep_their_number(number):
    with pytest.raises(OSError, match='expected .*, got .*; ') as told, checks.writable('place'):
        raise OSError(number, 'told by the system')
    assert told.value.errno == number
