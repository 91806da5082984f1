"""What a release is made of agrees: versions, changelog, citation, extras, recipe, containers, tools/make_dist.py."""
import json
import re
import runpy
import sys
import tomllib

import pytest
import yaml
from house import NBS, ROOT, read, sources
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PYPROJECT = tomllib.loads((ROOT/'pyproject.toml').read_text())
PROJECT = PYPROJECT['project']
EXTRAS = {name: [Requirement(r) for r in rs] for name, rs in PROJECT['optional-dependencies'].items()}
VERSION = re.search(r'__version__ = "(.+)"', (ROOT/'sss_nb/__init__.py').read_text())[1]
CHANGELOG = (ROOT/'CHANGELOG.md').read_text()
WHEELS = (ROOT/'constraints-wheel.txt').read_text()
RECIPE = yaml.safe_load((ROOT/'packaging/conda-forge/recipe.yaml').read_text())
DIST = runpy.run_path(str(ROOT/'tools/make_dist.py'))

def test_version_changelog_and_citation_agree():
    "The newest section of the changelog is this version; its date, if it has one, is that of the citation."
    section, date = re.search(r'^## (\S+) - (\S+)$', CHANGELOG, re.M).groups()
    citation = yaml.safe_load((ROOT/'CITATION.cff').read_text())
    assert DIST['version']() == VERSION == section == str(citation['version']) == RECIPE['context']['version']
    assert date == 'unreleased' or date == str(citation['date-released'])
    assert citation['license'] == PROJECT['license'] == RECIPE['about']['license']
    assert citation['message'] and citation['title'] and citation['references'][0]['doi'] in PROJECT['urls']['Paper']

@pytest.mark.parametrize('tag,changelog,said', [
    (f'v{VERSION}', f'## {VERSION} - 2026-12-01\n', None),
    ('v99.0', f'## {VERSION} - 2026-12-01\n', f'expected the tag v{VERSION}, got v99.0'),
    (f'v{VERSION}', f'## {VERSION} - unreleased\n', 'CHANGELOG.md has no line')])
def test_tag_is_the_version_and_dated(tag, changelog, said):
    if said is None: assert DIST['check_tag'](tag, VERSION, changelog) is None
    else:
        with pytest.raises(SystemExit, match=said): DIST['check_tag'](tag, VERSION, changelog)

# ------------------------------------------------------------------------------------------------- extras

def test_plain_install_leaves_the_solvers_to_the_user():
    "pip cannot choose between the binary wheel, a compiler and conda; two extras name the first two."
    plain = {canonicalize_name(Requirement(r).name) for r in PROJECT['dependencies']}
    assert not plain & {'petsc4py', 'slepc4py', 'dolfinx-solver-real', 'mpi4py'}
    assert {r.name for r in EXTRAS['source']} == {'petsc4py', 'slepc4py'}
    [wheel] = map(str, EXTRAS['wheel'])
    assert wheel in WHEELS, f'constraints-wheel.txt does not have {wheel}'

def test_wheels_are_pinned_with_their_hashes():
    "Each of constraints-wheel.txt, and mpi4py for each Python that the binary wheel is for."
    lines = re.sub(r'\\\n', ' ', re.sub(r'^#.*\n', '', WHEELS, flags=re.M)).split('\n')
    hashes = {line.split()[0]: re.findall(r'--hash=sha256:([0-9a-f]{64})\b', line) for line in lines if line.strip()}
    assert {name: len(found) for name, found in hashes.items()} == {
        'dolfinx-solver-real==0.11.0.post0': 1, 'mpich==5.0.2': 1, 'mpi4py==4.1.2': 3}

@pytest.mark.parametrize('extra', sorted(EXTRAS))
def test_error_messages_name_extras_that_exist(extra):
    assert re.fullmatch('[a-z]+', extra) and EXTRAS[extra]
    texts = [p.read_text() for p in (ROOT/'sss_nb').rglob('*.py')] + [(ROOT/'README.md').read_text()]
    lists = [names for text in texts for names in re.findall(r'(?:sss_nb|\.)\[([a-z,]+)\]', text)]
    named = {name for names in lists for name in names.split(',')}
    assert named <= EXTRAS.keys(), f'no such extra: {sorted(named - EXTRAS.keys())}'

# --------------------------------------------------------------------------------------- recipe, containers

def test_recipe_asks_for_what_the_package_needs():
    "The requirements of pyproject.toml under conda-forge's names, and the solvers with real scalars."
    names = {'torch': 'pytorch', 'matplotlib': 'matplotlib-base'}
    asked = [Requirement(r) for r in PROJECT['dependencies']] + EXTRAS['source']
    run = [line for line in RECIPE['requirements']['run'] if not line.startswith('python ')]
    assert sorted(run) == sorted([f'{names.get(r.name, r.name)} {r.specifier}' for r in asked]
                                 + ['petsc * real_*', 'slepc * real_*'])
    assert RECIPE['context']['python_min'] == PROJECT['requires-python'].removeprefix('>=')
    assert RECIPE['build']['python']['entry_points'] == [f'{k} = {v}' for k, v in PROJECT['scripts'].items()]

def test_dockerfile():
    "Debian slim, not root at the end, published on this machine only, and every file that it copies first is there."
    text = (ROOT/'Dockerfile').read_text()
    assert re.search(r'^FROM python:3\.\d+-slim-bookworm$', text, re.M)
    assert re.findall(r'^USER (\w+)', text, re.M) == ['reader']
    assert '-p 127.0.0.1:8888:8888' in text and 'PETSC=wheel' in text
    copied = [f for line in re.findall(r'^COPY --chown=\S+ (.+) \S+$', text, re.M) for f in line.split()]
    assert [f for f in copied if not (ROOT/f).exists()] == []
    needed = {'constraints.txt', 'constraints-wheel.txt', 'pyproject.toml', 'environment.yml', 'README.md', 'LICENSE'}
    assert needed | {'Makefile', 'tools/make_env.sh', 'sss_nb', 'data'} <= set(copied)

def test_dev_container_and_workflows():
    container = json.loads((ROOT/'.devcontainer/devcontainer.json').read_text())
    targets = set(re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text(), re.M))
    assert container['postCreateCommand'].split()[0] == 'make'
    assert set(container['postCreateCommand'].split()[1:]) <= targets
    for path in (ROOT/'.github/workflows').glob('*.yml'):
        asked = set(re.findall(r'run: make ([a-z]+)', path.read_text()))
        assert asked <= targets, f'{path.name}: {asked - targets}'
    release = yaml.safe_load((ROOT/'.github/workflows/release.yml').read_text())
    assert release['jobs']['publish']['needs'] == 'dist' and release['permissions'] == {'contents': 'read'}

# -------------------------------------------------------------------------------------------------- the README

def test_readme_is_two_screens():
    "Figure 1 comes first, and the commands are those that the notebook runs to draw the picture below them."
    text = (ROOT/'README.md').read_text(encoding='utf-8')
    assert len(text.splitlines()) < 110
    assert re.search(r'!\[.*?\]\((.*?)\)', text)[1] == 'figures/fig01_teaser.png'
    assert text.index('fig01') < text.index('make figures') < text.index('```python') < text.index('    sss ')
    [drawing] = [s for s in sources(read(NBS/'index.ipynb'), 'code') if 'commands = ' in s]
    shown = re.findall('^    (sss .*)$', text, re.M)
    assert len(shown) == 5 and re.findall('^ *(sss [a-z].*)$', drawing, re.M) == shown

def test_readme_numbers_are_stored():
    "Seconds, memory and overlaps are those of the notebooks that it names."
    numbers = (ROOT/'README.md').read_text(encoding='utf-8').split('## Numbers')[1]
    sys.path.insert(0, str(ROOT/'tools'))
    import stage_docs
    times = stage_docs.stage_times('nbs/benchmarks/speed.ipynb', 'time_table(list(runs.values()))')
    fast, exact, large = (times[way]['total'] for way in ('640 × 480, auto', '640 × 480, exact', '4000 × 3000, auto'))
    for (seconds, memory), digits in ((fast, 1), (exact, 0), (large, 0)):
        assert f'{seconds:.{digits}f} s, {memory:.1f} GB' in numbers, (seconds, memory)
    rows = re.findall(r'\| (stable|auto) \| 12 \| (.*?) \|\\n', json.dumps(read(NBS/'benchmarks/mattes.ipynb')))
    columns = {name: [float(c.split()[0]) for c in row.split(' | ')] for name, row in rows}
    union, one, auto = columns['stable'][2], columns['stable'][4], columns['auto'][4]
    for overlap in (union, one, auto): assert f' {overlap:.2f} ' in numbers.replace(';', ' '), overlap
