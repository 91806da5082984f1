#!/usr/bin/env python3
"""Make what a release publishes, check it, and use it: dist/*.whl, dist/*.tar.gz.

    tools/make_dist.py                 the wheel runs in an empty environment that borrows this one's packages
    tools/make_dist.py --fresh         ... that installs everything anew, with PETSc from the extra `wheel`
    tools/make_dist.py --tag v0.2.0    stops first if the tag is not the version, or the changelog has no date for it

The wheel is built from the source archive, so the archive is complete. Both carry the date of the last commit.
"""
import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT/'dist'

def version():
    return re.search(r'^__version__ = "(.+)"', (ROOT/'sss_nb/__init__.py').read_text(encoding='utf-8'), re.M)[1]

def check_tag(tag, here, changelog):
    "Raise SystemExit unless the tag is that of this version and the changelog says when it was released."
    if tag != f'v{here}': sys.exit(f'expected the tag v{here}, got {tag}; set the version, and make prepare')
    dated = rf'^## {re.escape(here)} - \d{{4}}-\d\d-\d\d$'
    if not re.search(dated, changelog, re.M): sys.exit(f'CHANGELOG.md has no line "## {here} - YYYY-MM-DD"')

def call(*command, **how):
    print('$', *(Path(c).name if isinstance(c, Path) else c for c in command), flush=True)
    subprocess.run(command, check=True, **how)

def build():
    "The archive, and from it the wheel."
    shutil.rmtree(DIST, ignore_errors=True)
    date = subprocess.run(['git', 'log', '-1', '--format=%ct'], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    env = os.environ | ({'SOURCE_DATE_EPOCH': date} if date else {})
    call(sys.executable, '-m', 'build', '--no-isolation', '--outdir', DIST, cwd=ROOT, env=env)
    return sorted(DIST.iterdir())

def check(files):
    "What an index asks of both, and what is in the wheel."
    call(sys.executable, '-m', 'twine', 'check', '--strict', *map(str, files))
    wheels = [str(f) for f in files if f.suffix == '.whl']
    call(sys.executable, '-m', 'check_wheel_contents', *wheels, cwd=ROOT)

def constraints():
    "Those of constraints.txt but for the compiled solvers: the binary wheel asks for an mpich of its own."
    lines = (ROOT/'constraints.txt').read_text(encoding='utf-8').splitlines()
    return '\n'.join(s for s in lines if not re.match('(petsc|slepc|mpich)', s)) + '\n'

def empty_environment(folder, wheel, fresh):
    "An environment with the wheel; its other packages are new or borrowed. Returns its Python."
    venv.create(folder, with_pip=fresh, symlinks=True)
    python = folder/'bin/python'
    if fresh:
        pins = folder/'constraints.txt'
        pins.write_text(constraints(), encoding='utf-8')
        call(python, '-m', 'pip', 'install', '-q', '-c', pins, f'{wheel}[wheel]', cwd=folder)
        return python
    site = Path(sysconfig.get_path('purelib', vars=dict(base=folder, platbase=folder)))
    call(sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-index', '--ignore-installed',  # that is here
         '--prefix', folder, wheel, cwd=folder)
    borrowed = sysconfig.get_path('purelib') + '\n'     # its .pth files are not read: no other sss_nb comes from there
    (site/'borrowed.pth').write_text(borrowed, encoding='utf-8')
    return python

USE = '''import sys
from pathlib import Path

import numpy as np
from PIL import Image

import sss_nb
from sss_nb.pictures.files import load_image
from sss_nb.pictures.registry import fetch
from sss_nb.pipeline import semantic_soft_segmentation
assert Path(sys.prefix).resolve() in Path(sss_nb.__file__).resolve().parents, sss_nb.__file__
image = load_image(fetch('astronaut'), max_size=96)
segments = semantic_soft_segmentation(image, progress=False)
assert segments.alphas.shape[:2] == image.shape[:2] and np.allclose(segments.alphas.sum(2), 1)
Image.fromarray((255*image).round().astype('uint8')).save('photo.png')
print(segments)
'''

def use(python, folder):
    "A photograph in Python, then the same by the command."
    env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME')}
    mpi = Path(sys.prefix, 'lib/libmpi.so.12')
    if not (Path(python).parents[1]/'lib/libmpi.so.12').exists() and mpi.exists(): env['MPI4PY_LIBMPI'] = str(mpi)
    script = Path(folder, 'use.py')
    script.write_text(USE, encoding='utf-8')
    call(python, script, cwd=folder, env=env)
    sss = python.parent/'sss'
    call(sss, 'segment', 'photo.png', '--out', 'layers', '--format', 'psd', cwd=folder, env=env)
    made = [p for p in Path(folder, 'layers').rglob('*.psd') if p.stat().st_size > 1000]
    if not made: sys.exit('sss segment made no PSD')

def main(args=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--fresh', action='store_true', help='install every package anew')
    parser.add_argument('--tag', help='the tag that is released')
    args = parser.parse_args(args)
    if args.tag: check_tag(args.tag, version(), (ROOT/'CHANGELOG.md').read_text(encoding='utf-8'))
    files = build()
    check(files)
    [wheel] = [f for f in files if f.suffix == '.whl']
    with tempfile.TemporaryDirectory() as folder:
        use(empty_environment(Path(folder)/'env', wheel, args.fresh), Path(folder))
    for f in files: print(f'{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.stat().st_size/1e6:6.2f} MB  {f.name}')

if __name__ == '__main__':
    try: main()
    except subprocess.CalledProcessError as error: sys.exit(f'failed with {error.returncode}: {error.cmd[0]}')
