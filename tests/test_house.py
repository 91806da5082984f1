"""What holds the checkout together: versions, exports, imports, stored notebooks, figures, data, the wheel."""
import ast
import configparser
import hashlib
import importlib.metadata
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from house import FIGURES, MODULES, NBS, NOTEBOOKS, ROOT, exported, module, name, python, read, sources
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

# ------------------------------------------------------------------------------------------------ versions

PROJECT = tomllib.loads((ROOT/'pyproject.toml').read_text())['project']
EXTRAS = {name: [Requirement(r) for r in rs] for name, rs in PROJECT['optional-dependencies'].items()}
RUN, DEV = [Requirement(r) for r in PROJECT['dependencies']] + EXTRAS['source'], EXTRAS['dev']
CONSTRAINTS = re.findall(r'^([\w.-]+)==(\S+)$', (ROOT/'constraints.txt').read_text(), re.M)
PINS = {canonicalize_name(package): version for package, version in CONSTRAINTS}
NBDEV = {'nbdev': '2.4.14', 'execnb': '0.1.18', 'fastcore': '1.14.5', 'ghapi': '1.1.1', 'fastgit': '0.1.4'}

def environment():
    "environment.yml: {name: specifier} of what conda installs, and the list of what pip installs."
    lines = yaml.safe_load((ROOT/'environment.yml').read_text())['dependencies']
    conda, pip = {}, next(x['pip'] for x in lines if isinstance(x, dict))
    for line in lines:
        if isinstance(line, dict): continue
        package, version = re.match(r'([\w-]+)\s*(.*)', line).groups()
        version = version.split('=*')[0] if version.count('=') > 1 and '*' in version else version  # a build string
        if re.match(r'=\d', version): version = f'=={version[1:]}.*'
        here = {'pytorch': 'torch'}.get(package, package.removesuffix('-base'))
        conda[here] = SpecifierSet('' if version in ('', '=*') else version)
    return conda, pip

@pytest.mark.parametrize('requirement', RUN + DEV, ids=lambda r: r.name)
def test_versions_hold_together(requirement):
    package = canonicalize_name(requirement.name)
    assert package in PINS, f'{package} of pyproject.toml has no pin in constraints.txt'
    pinned = f'constraints.txt has {package}=={PINS[package]}'
    assert requirement.specifier.contains(PINS[package]), f'{pinned}, pyproject.toml {requirement}'
    conda, pip = environment()
    allowed = conda.get(package) or next((Requirement(r).specifier for r in pip if r.startswith(f'{package}==')), None)
    assert allowed is not None, f'{package} of pyproject.toml is not in environment.yml'
    assert allowed.contains(PINS[package]), f'{pinned}, environment.yml {allowed}'
    if package in ('petsc4py', 'slepc4py') and find_spec('dolfinx_solver'): return      # in a binary wheel
    here = importlib.metadata.version(package).split('+')[0]      # torch: 2.13.0+cpu
    assert here == PINS[package] or (Path(sys.prefix)/'conda-meta').is_dir() and allowed.contains(here), \
        f'{package} {here} is installed, {pinned}: make env'

def test_environment_is_conda_forge_and_one_python():
    env = yaml.safe_load((ROOT/'environment.yml').read_text())
    assert env['channels'] == ['conda-forge', 'nodefaults']
    conda, pip = environment()
    lowest = SpecifierSet(PROJECT['requires-python'])
    assert [v for v in ('3.10', '3.11', '3.12', '3.13') if lowest.contains(v)] == ['3.11', '3.12', '3.13']
    assert [v for v in ('3.10', '3.11', '3.12', '3.13') if conda['python'].contains(v)] == ['3.12']
    for package in conda.keys() & PINS.keys(): assert conda[package].contains(PINS[package]), package
    assert '-e .' in pip and {r.split('==')[0] for r in pip} - {'-e .'} == NBDEV.keys()

def test_nbdev_family_is_exact():
    dev = {r.name: str(r.specifier) for r in DEV}
    _, pip = environment()
    for package, version in NBDEV.items():
        assert PINS[package] == version and dev[package] == f'=={version}' and f'{package}=={version}' in pip, package
    assert SpecifierSet(dev['ipython']).contains('9.14') and not SpecifierSet(dev['ipython']).contains('10.0')

def test_the_site_is_pinned():
    for r in EXTRAS['docs']: assert r.specifier.contains(PINS[canonicalize_name(r.name)]), f'{r} of pyproject.toml'

def test_every_pin_is_used():
    built = re.findall(r'[\w-]+', (ROOT/'tools/make_env.sh').read_text())
    used = {canonicalize_name(r.name) for rs in (RUN, *EXTRAS.values()) for r in rs} | set(built)
    assert not PINS.keys() - used, f'constraints.txt pins what nothing asks for: {sorted(PINS.keys() - used)}'

def test_one_version():
    config = configparser.ConfigParser()
    config.read(ROOT/'settings.ini')
    settings = config['DEFAULT']
    init = re.search(r'__version__ = "(.+)"', (ROOT/'sss_nb/__init__.py').read_text())[1]
    assert settings['version'] == init == str(yaml.safe_load((ROOT/'CITATION.cff').read_text())['version'])
    assert settings['min_python'] == PROJECT['requires-python'].removeprefix('>=')
    for key in ('update_pyproject', 'clear_all', 'jupyter_hooks'): assert settings[key] == 'False', key
    assert settings['recursive'] == 'True'

# ----------------------------------------------------------------------------------------- export and clean

def test_export_and_clean_change_nothing(tmp_path):
    "sss_nb is what the notebooks export, the notebooks are clean, and nbdev rewrites no setting."
    for f in ('settings.ini', 'pyproject.toml'): shutil.copy(ROOT/f, tmp_path)
    other = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints')
    for d in ('nbs', 'sss_nb'): shutil.copytree(ROOT/d, tmp_path/d, ignore=other)
    def files(): return {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob('*') if p.is_file()}
    before = files()
    made = [p for p in (tmp_path/'sss_nb').rglob('*.py') if '# AUTOGENERATED' in p.read_text()]
    for path in made: path.unlink()
    for command in ('nbdev_export', 'nbdev_clean'):
        subprocess.run([Path(sys.executable).parent/command], cwd=tmp_path, check=True)
    after = files()
    differ = sorted(f for f in before.keys() | after.keys() if before.get(f) != after.get(f))
    assert not differ, f'run `make prepare`: it changes {differ}'

def test_readme_is_the_index():
    readme = runpy.run_path(ROOT/'tools/make_readme.py')['readme']
    text = (ROOT/'README.md').read_text(encoding='utf-8')
    assert text == readme(read(NBS/'index.ipynb')), 'run `make prepare`: README.md is not what nbs/index.ipynb says'
    for link in re.findall(r'(?:\]\(|src=")([^)\s"#]+)', text):
        assert re.match('[a-z]+:', link) or (ROOT/link).exists(), f'README.md links to {link}, which is not there'

# ------------------------------------------------------------------------------------------------- imports

IMPORT = '''
import sys
def refuse(event, args):
    if event in ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname', 'socket.sendto', 'urllib.Request'):
        raise RuntimeError(f'importing touches the network: {event} {args}')
sys.addaudithook(refuse)
__import__(sys.argv[1])
print(*sys.modules)
'''
DEVELOPMENT = {'nbdev', 'fastcore', 'execnb', 'ghapi', 'IPython', 'ipywidgets', 'jupyterlab', 'pymatting', 'pytest',
               'ruff', 'transformers'}
LEARNING = ('networks', 'losses', 'training', 'engine', 'device', 'semantic')  # what may need torch; nothing else does

def imported(module):
    done = python(IMPORT, module, cwd=ROOT.parent, PYTHONPATH=str(ROOT))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())

@pytest.mark.parametrize('path', MODULES, ids=module)
def test_import_is_light(path):
    "People who use the package never meet the development pins, and importing it draws no picture."
    modules = imported(module(path))
    assert not modules & DEVELOPMENT
    if not any(part in module(path).split('.') for part in LEARNING): assert 'torch' not in modules
    if path.stem != 'show': assert 'matplotlib.pyplot' not in modules

def test_import_of_the_package_is_bare():
    assert not imported('sss_nb') & {'numpy', 'scipy', 'petsc4py', 'matplotlib', 'PIL', 'skimage'}

STAGES = [m for p in NOTEBOOKS if p.parent == NBS and (m := exported(p))]     # the method, in the paper's order
BLOCKS = [m.split('.')[1] for m in STAGES if m.split('.')[1] not in ('params', 'result', 'pipeline')]
WINGS = {  # the rooms that a wing may import from, beside the modules before it in its own
    'checks': [], 'process': [], 'pictures': ['checks'], 'networks': ['checks', 'pictures', 'features'],
    'learning': ['checks', 'pictures', 'networks', *BLOCKS],
    'layers': ['checks', 'process', 'pictures', *BLOCKS],
    'cli': ['checks', 'process', 'pictures', 'networks', 'learning', 'layers', 'params', 'result', 'pipeline', 'batch',
            'petsc', 'matting'],
    'views': ['checks', 'pictures', 'networks', 'layers', 'levels', 'params', 'result', 'pipeline'],
    'explorer': ['checks', 'pictures', 'params', 'views'],
    'matting': ['checks', 'pictures', 'networks', 'learning', 'layers', 'params', 'result', 'pipeline', *BLOCKS],
    'evaluate': ['checks', 'pictures', 'layers', 'learning', 'matting', 'batch', 'params', 'result', 'pipeline'],
    'batch': ['checks', 'process', 'pictures', 'networks', 'layers', 'matting', 'params', 'result', 'pipeline'],
    'benchmarks': ['checks', 'process', 'pictures', 'params', 'pipeline', *BLOCKS],
    'strips': ['checks', 'pictures', 'params', 'pipeline', *BLOCKS],
    'run': ['checks', 'petsc', 'levels', 'pictures', 'networks', 'params', 'result', 'pipeline', 'strips'],
}

def asked(path):
    "The modules of sss_nb that the file `path` imports, anywhere in it."
    package = module(path).split('.')[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import): yield from (a.name for a in node.names if a.name.startswith('sss_nb.'))
        if isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            base = '.'.join(base + (node.module or '').split('.')).strip('.')
            package_ = (ROOT/base.replace('.', '/')).is_dir()
            if base.startswith('sss_nb'): yield from (f'{base}.{a.name}' if package_ else base for a in node.names)

def room(name): return name.split('.')[1]

def may_import(here, order):
    "Whether the module `here` may import a module, as a function of the other's name."
    before = order[:order.index(here)]
    if here in STAGES:
        rooms = ['checks', 'process', 'pictures'] + ['networks']*(here == 'sss_nb.pipeline')
        rooms += ['layers']*(here in ('sss_nb.result', 'sss_nb.pipeline'))
        return lambda other: room(other) in rooms or other in STAGES and other in before
    return lambda other: room(other) in WINGS[room(here)] or room(other) == room(here) and other in before

def test_imports_run_one_way():
    "The method imports earlier stages, pictures, checks and process; the wings stand where WINGS says."
    order = [m for p in NOTEBOOKS if (m := exported(p))]
    assert len(set(order)) == len(order), f'two notebooks export one module: {order}'
    for path in MODULES:
        here = module(path)
        assert here in order, f'{here} is exported by no notebook'
        allowed = may_import(here, order)
        late = [m for m in asked(path) if m != 'sss_nb.__version__' and not allowed(m)]
        assert not late, f'{here} imports {late}, which stand above or beside it'

@pytest.mark.parametrize('path', [p for p in NOTEBOOKS if exported(p)], ids=name)
def test_path_names_the_module(path):
    "nbs/networks/01_core.ipynb is sss_nb.networks.core; nbs/plumbing is a shelf, whose modules stand at the top."
    folder = '' if path.parent.name in ('nbs', 'plumbing') else f'{path.parent.name}.'
    assert exported(path) == f"sss_nb.{folder}{re.sub(r'^[0-9]+[a-z]?_', '', path.stem)}"

def test_wings_say_what_they_are_for():
    for path in (ROOT/'sss_nb').glob('*/__init__.py'):
        assert re.fullmatch(r'"""[A-Z].+\."""\n', path.read_text()), f'{path.parent.name}/__init__.py: one sentence'

def test_packages_are_listed():
    settings = tomllib.loads((ROOT/'pyproject.toml').read_text())['tool']['setuptools']
    folders = [p.parent.relative_to(ROOT) for p in (ROOT/'sss_nb').rglob('__init__.py')]
    assert set(settings['packages']) - {'sss_nb._data'} == {'.'.join(f.parts) for f in folders}

# --------------------------------------------------------------------------------------------------- style

def test_ruff():
    done = subprocess.run([sys.executable, '-m', 'ruff', 'check', '--output-format', 'concise', '.'], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_notebook_style(path):
    "Lines of at most 120 columns, prose too; errors are shown by `fails`; the size of pictures is set in matplotlibrc."
    for source in sources(read(path), 'code') + sources(read(path), 'markdown'):
        assert not [s for s in source.splitlines() if len(s) > 120]
        assert "rcParams['figure.dpi']" not in source, 'nbs/matplotlibrc has the dpi'
        assert path.stem == 'checks' or "raise AssertionError('no error')" not in source, 'sss_nb.checks.fails does it'

@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_no_placeholder_is_left(path):
    "No line of text is a word in capitals, or says that something is still to be written."
    for line in '\n'.join(sources(read(path), 'markdown')).splitlines():
        assert not re.fullmatch(r'[A-Z]{3,}\W*', line) and not re.search('TODO|FIXME|XXX', line), line

def test_every_folder_has_matplotlibrc():
    for folder in {p.parent for p in NOTEBOOKS}:
        assert (folder/'matplotlibrc').resolve() == NBS/'matplotlibrc', f'ln -s ../matplotlibrc {folder}'

DOCTESTS = '''
import doctest, importlib, sys
import numpy as np, scipy.sparse as sp
from sss_nb.pictures.scene import synthetic_scene
module = importlib.import_module(sys.argv[1])
print(doctest.testmod(module, globs=vars(module) | dict(np=np, sp=sp, synthetic_scene=synthetic_scene)))
'''

@pytest.mark.parametrize('stage', STAGES)
def test_examples_in_docstrings(stage):
    "np, sp and synthetic_scene are taken for granted in them."
    done = python(DOCTESTS, stage)
    assert done.returncode == 0 and 'failed=0' in done.stdout, done.stdout + done.stderr

# ---------------------------------------------------------------------------------------- stored notebooks

@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_stored_notebook(path):
    notebook, size = read(path), path.stat().st_size
    assert size < 1_000_000, f'{size/1e6:.2f} MB; a lower dpi or fewer pictures'
    outputs = [o for c in notebook['cells'] if c['cell_type'] == 'code' for o in c['outputs']]
    assert outputs, 'no stored output: execute it and store the outputs, they are the documentation'
    errors = [o for o in outputs if o['output_type'] == 'error']
    assert not errors, f"a stored error: {errors and errors[0]['ename']}"
    title, *rest = sources(notebook, 'markdown')[0].strip().split('\n', 1)
    assert re.match(r'# \S', title), 'the first cell is the title: # Title'
    described = rest and re.search(r'^> \S', rest[0], re.M)
    assert described or not exported(path), 'after the title comes a one-sentence description: > ...'
    def words(o): return {k: v for k, v in o.get('data', {}).items() if not k.startswith('image/')}
    text = json.dumps([o.get('text') or words(o) for o in outputs])
    for directory in (f'{ROOT}/', f'{Path.home()}/', '/tmp/'):
        assert directory not in text, f'a stored output shows a path of one machine: {directory}'

# ------------------------------------------------------------------------------------------ figures, data

def test_figures_and_notebooks_share_stems():
    stems = [p.stem for p in FIGURES]
    pictures = [p.stem for p in (ROOT/'figures').glob('*.png')]
    def is_of(p, s): return p == s or p.startswith((f'{s}_', f'{s}-'))
    for s in stems: assert any(is_of(p, s) for p in pictures), f'no picture of {s}: make figures'
    for p in pictures: assert any(is_of(p, s) for s in stems), f'{p}.png has no notebook'

def test_gallery():
    "figures/index.html shows every picture, each with an alt text, and every link leads somewhere."
    page = ROOT/'figures/index.html'
    text = page.read_text(encoding='utf-8')
    for link in re.findall(r'(?:href|src)="([^"#]+)"', text):
        assert re.match('[a-z]+:', link) or (page.parent/link).exists(), f'index.html links to {link}: not there'
    for p in page.parent.glob('*.png'): assert re.search(f'<img src="{p.name}"[^>]* alt="[^"]+"', text), p.name
    assert not re.search(r'<script|src="https?:|<link', text), 'the page must work from a file, without a network'

REGISTRY = json.loads((ROOT/'data/registry.json').read_text())

@pytest.mark.parametrize('entry', REGISTRY)
def test_data(entry):
    about = REGISTRY[entry]
    for key in ('file', 'sha256', 'source', 'licence'): assert about.get(key), f'{entry} has no {key}'
    assert hashlib.sha256((ROOT/'data'/about['file']).read_bytes()).hexdigest() == about['sha256']

def test_every_data_file_is_registered():
    there = [p for p in (ROOT/'data').rglob('*') if p.is_file() and not p.name.startswith('.')]
    files = {p.relative_to(ROOT/'data').as_posix() for p in there}
    documents = {f for f in files if f.endswith(('.md', 'registry.json'))}
    weights = {f for f in files if f.endswith('.safetensors')}
    assert files - documents - weights == {about['file'] for about in REGISTRY.values()}

WEIGHTS = sorted((ROOT/'data/weights').rglob('*.safetensors'))

@pytest.mark.parametrize('folder', sorted({p.parent for p in WEIGHTS}), ids=lambda p: p.name)
def test_weights_have_a_card(folder):
    "What a folder holds is small, and its model card tells each file by its sha256."
    card, files = (folder/'README.md').read_text(encoding='utf-8'), sorted(folder.glob('*.safetensors'))
    for p in files:
        assert p.stat().st_size < 10e6, p.name
        assert f'`{p.name}`' in card and hashlib.sha256(p.read_bytes()).hexdigest() in card, p.name
    for heading in ('Data and terms', 'Training', 'Measured quality', 'Limits'): assert f'## {heading}' in card, heading

def test_notebooks_named_in_documents_are_there():
    documents = [p for p in ROOT.rglob('*.md') if not re.search(r'(^|/)[._]', p.relative_to(ROOT).as_posix())]
    named = {(p.name, n) for p in documents for n in re.findall(r'\bnbs/[\w./]+\.ipynb', p.read_text(encoding='utf-8'))}
    absent = [(p, n) for p, n in named if not (ROOT/n).exists() and 'NN_' not in n]
    assert len(named) > 5 and not absent, absent

# ------------------------------------------------------------------------------------------------ the wheel

def test_wheel_has_its_data(tmp_path):
    "Installed far from the checkout, beside the same dependencies, the package is whole and finds its data."
    source, wheels, target = tmp_path/'source', tmp_path/'wheels', tmp_path/'target'
    source.mkdir()
    for f in ('pyproject.toml', 'README.md', 'LICENSE'): shutil.copy(ROOT/f, source)
    for d in ('sss_nb', 'data'): shutil.copytree(ROOT/d, source/d, ignore=shutil.ignore_patterns('__pycache__'))
    pip = [sys.executable, '-m', 'pip', '--quiet', '--disable-pip-version-check']
    subprocess.run([*pip, 'wheel', '--no-deps', '--no-build-isolation', '-w', wheels, source], check=True)
    [wheel] = wheels.iterdir()
    subprocess.run([*pip, 'install', '--no-deps', '--no-index', '--target', target, wheel], check=True)
    code = '''if True:
        import sys, sss_nb
        from sss_nb.pictures.files import load_image
        from sss_nb.pictures.registry import data_dir, fetch
        from pathlib import Path
        target = Path(sys.argv[1]).resolve()
        for p in (Path(sss_nb.__file__), data_dir(), fetch('astronaut')): assert target in p.resolve().parents, p
        image = load_image(fetch('astronaut'), max_size=64)
        from sss_nb.networks.sources import feature_map
        values, name = feature_map(None, image)
        assert name == 'default' and values.shape[:2] == image.shape[:2], (name, values.shape)
    '''
    done = python(code, target, cwd=tmp_path, PYTHONPATH=str(target))
    assert done.returncode == 0, done.stderr
    done = subprocess.run([target/'bin/sss', '--version'], cwd=tmp_path, env=os.environ | dict(PYTHONPATH=str(target)),
                          capture_output=True, text=True)
    assert done.stdout.startswith('sss_nb '), done.stderr
    for p in MODULES + WEIGHTS + [ROOT/'data'/about['file'] for about in REGISTRY.values()]:
        inside = re.sub('^data/', 'sss_nb/_data/', p.relative_to(ROOT).as_posix())
        assert (target/inside).is_file(), f'{inside} is not in the wheel'
