"""What the tests share: where things are, and the notebooks in the order of the paper."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT/'nbs'

def visible(path, root): return not any(p.startswith(('_', '.')) for p in path.relative_to(root).parts)

NOTEBOOKS = sorted(p for p in NBS.rglob('*.ipynb') if visible(p, NBS))
FIGURES = sorted((NBS/'figures').glob('fig*.ipynb'))
MODULES = sorted(p for p in (ROOT/'sss_nb').rglob('*.py') if not p.name.startswith('_'))

def name(path): return path.relative_to(NBS).as_posix()
def module(path): return '.'.join(path.relative_to(ROOT).with_suffix('').parts)
def read(path): return json.loads(path.read_text(encoding='utf-8'))
def sources(notebook, kind): return [''.join(c['source']) for c in notebook['cells'] if c['cell_type'] == kind]

def exported(path):
    "The module that the notebook `path` exports to, or None."
    found = re.search(r'^#\| *default_exp +(\S+)', '\n'.join(sources(read(path), 'code')), re.M)
    return found and f'sss_nb.{found[1]}'

def python(code, *args, cwd=None, timeout=600, **env):
    "Run Python `code` in a fresh process and return it when it is done, with what it printed."
    return subprocess.run([sys.executable, '-c', code, *map(str, args)], cwd=cwd or ROOT, env=os.environ | env,
                          capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
