"""The site: staged with nothing of the package importable, whole, without warnings, without a network, for everyone.

What needs a built site takes what `make docs` left, brought up to date, and is skipped where its environment is not
there; `make browser` brings what the pages are looked at with.
"""
import ast
import fcntl
import hashlib
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from house import FIGURES, MODULES, NOTEBOOKS, ROOT, module, name, python, read, sources

sys.path.insert(0, str(ROOT/'tools'))
import docs_api  # noqa: E402
import stage_docs  # noqa: E402

# --------------------------------------------------------------------------------------------- the staging

BARE = '''
import importlib.abc, runpy, sys
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('petsc4py', 'slepc4py', 'torch', 'numpy', 'scipy', 'sss_nb'):
            raise ImportError(f'{name} is not needed for the site')
sys.meta_path.insert(0, Refuse())
script, folder = sys.argv[1:]
sys.argv = [script, folder]
runpy.run_path(script, run_name='__main__')
'''

@pytest.fixture(scope='module')
def staged(tmp_path_factory):
    "The sources of the site, made by a Python that has neither solvers nor the package."
    folder = tmp_path_factory.mktemp('staged')
    done = python(BARE, ROOT/'tools/stage_docs.py', folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder

def contents(folder):
    "What the toctrees of the pages in `folder` list, from the top of the site."
    for page in folder.rglob('*.md'):
        for tree in re.findall(r'^```\{toctree\}\n(.*?)^```', page.read_text(), re.M | re.S):
            for entry in (s for s in tree.splitlines() if s and not s.startswith(':')): yield entry.lstrip('/')

def test_every_page_is_in_the_contents_once(staged):
    entries = [re.sub(r'\.(ipynb|md)$', '', e) for e in contents(staged)]
    assert len(entries) == len(set(entries)), sorted(e for e in set(entries) if entries.count(e) > 1)
    pages = [p.relative_to(staged) for p in staged.rglob('*') if p.suffix in ('.md', '.ipynb')]
    pages = {p.with_suffix('').as_posix() for p in pages}
    assert {f'nbs/{name(p)}'.removesuffix('.ipynb') for p in NOTEBOOKS} <= pages
    assert pages - set(entries) == {'index'} and set(entries) <= pages

def test_method_is_in_the_papers_order(staged):
    tree = re.search(r'\{toctree\}(.*?)```', (staged/'method.md').read_text(), re.S)[1]
    found = re.findall(r'/nbs/(\S+)', tree)
    assert found == [name(p) for p in NOTEBOOKS if p.parent.name == 'nbs' and p.stem != 'index'] and len(found) > 20

def pictures(notebook):
    "How many pictures a notebook stores in cells that are not hidden."
    shown = [c for c in notebook['cells'] if not re.search(r'^#\| *hide\b', ''.join(c['source']), re.M)]
    return sum('image/png' in o.get('data', {}) for c in shown for o in c.get('outputs', []))

@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_notebook_as_staged(path, staged):
    "Its text and its pictures are there, each picture with an alt text; directives and widgets are not."
    before, after = read(path), read(staged/'nbs'/name(path))
    code = '\n'.join(sources(after, 'code'))
    assert not re.search(r'^#\| *(export|exporti|default_exp|hide|table)\b', code, re.M)
    assert pictures(after) == pictures(before)
    for c in after['cells']:
        if pictures(dict(cells=[c])): assert len(c['metadata']['mystnb']['image']['alt']) > 5, c['source']
        assert not any('widget' in kind for o in c.get('outputs', []) for kind in o.get('data', {}))

def test_gallery_has_every_figure(staged):
    text = (staged/'figures.md').read_text()
    for path in FIGURES:
        title = sources(read(path), 'markdown')[0].split('\n')[0].removeprefix('# ')
        assert f'## {title}\n' in text and f'/figures/{path.stem}' in text, path.stem
    for alt in re.findall(r':alt: ?(.*)', text): assert len(alt) > 20, alt

def test_staging_again_writes_nothing(staged):
    before = {p: p.stat().st_mtime_ns for p in staged.rglob('*') if p.is_file()}
    assert python(BARE, ROOT/'tools/stage_docs.py', staged).returncode == 0
    assert {p: p.stat().st_mtime_ns for p in staged.rglob('*') if p.is_file()} == before

def test_missing_output_is_told():
    "A page that asks for an output which no cell has, or more than one, stops the staging."
    for words, number in (('no cell says this', 0), ('print', 2)):
        with pytest.raises(SystemExit, match=words) as told: stage_docs.printed('nbs/benchmarks/speed.ipynb', words)
        assert int(str(told.value).split()[0]) >= number and 'one was expected' in str(told.value)

def test_links_by_hand():
    def linked(s): return stage_docs.linked(s, 'nbs/layers')
    assert linked('[a](../05c_eigen.ipynb)') == '[a](/nbs/05c_eigen.ipynb)'
    assert linked('[a](05_files.ipynb#Reading-them)') == '[a](/nbs/layers/05_files.ipynb#reading-them)'
    assert linked('[a](../matting), [b](#Here)') == '[a](/wings/matting.md), [b](#here)'
    assert linked('[a](../../CONTRIBUTING.md)') == '[a](/project/contributing.md)'
    assert linked('[a](https://doi.org/1(2)') == '[a](https://doi.org/1(2)'
    assert linked('[a](../../LICENSE) and `[b](c)`') == 'a and `[b](c)`', 'what the site has not becomes words'
    names = {'smallest_eigenpairs': 'sss_nb.eigen'}
    text = stage_docs.named('`smallest_eigenpairs`, then `smallest_eigenpairs` and `other`', names)
    assert text == '[`smallest_eigenpairs`](project:#api-sss-nb.eigen.smallest-eigenpairs), ' \
                   'then `smallest_eigenpairs` and `other`'

def test_bars_are_the_stored_seconds():
    times = stage_docs.stage_times('nbs/benchmarks/speed.ipynb', 'time_table(list(runs.values()))')
    assert len(times) > 3
    for size, stages in times.items():
        parts = sum(seconds for stage, (seconds, _) in stages.items() if stage != 'total')
        assert abs(parts - stages['total'][0]) < .1 + .02*parts, (size, stages)

# --------------------------------------------------------------------------------------- what is fetched

def from_npm(folder, sha256, **env):
    command = [ROOT/'tools/from_npm.sh', 'some-package', '1.0', 'file.js', sha256, folder/'kept/file.js']
    return subprocess.run(command, env=dict(PATH='/usr/bin:/bin') | env, capture_output=True, text=True)

def test_what_is_fetched_has_its_hash(tmp_path):
    "A file of another hash is refused and nothing stays behind; the right one is kept, and not asked for again."
    (tmp_path/'file.js').write_text('let x = 1')
    right = hashlib.sha256(b'let x = 1').hexdigest()
    refused = from_npm(tmp_path, '0'*64, OFFLINE_FILE=str(tmp_path/'file.js'))
    assert refused.returncode and 'sha256' in refused.stderr and not list((tmp_path/'kept').iterdir())
    taken = from_npm(tmp_path, right, OFFLINE_FILE=str(tmp_path/'file.js'))
    assert taken.returncode == 0, taken.stderr
    assert [p.name for p in (tmp_path/'kept').iterdir()] == ['file.js']
    assert from_npm(tmp_path, right, OFFLINE_FILE='/nowhere').returncode == 0

# ------------------------------------------------------------------------------------------- the reference

@pytest.mark.parametrize('path', MODULES, ids=module)
def test_reference_is_complete(path, staged):
    "Every public name has an entry, and every parameter that a comment describes is described."
    text = (staged/f'api/{module(path)}.md').read_text()
    nodes, said, _ = docs_api.definitions(path)
    for public, node in nodes.items():
        assert f'({docs_api.label(module(path), public)})=\n' in text, public
        if not isinstance(node, ast.FunctionDef): continue
        table = text.split(f'## `{public}`\n')[1].split('\n## ')[0]
        for parameter, *_ in docs_api.parameters(node): assert f'| `{parameter}`' in table, (public, parameter)
    others = docs_api.borrowed(path)
    assert sorted(nodes.keys() | others.keys()) == sorted(docs_api.public(ast.parse(path.read_text())))
    for public, home in others.items(): assert f'[`{public}`](project:#{docs_api.label(home, public)})' in text

def test_reference_by_hand(tmp_path):
    source = '''
__all__ = ['f', 'LIMIT']

LIMIT = 3 # pixels

def f(
    image, # (h, w, 3) in [0, 1] | RGB
    *,
    tol:float=1e-6, # relative
    **more,
) -> int: # how many
    """Count `pixels` of x^2.

    Raises ValueError.

    >>> f(1)
    1
    """
'''
    (tmp_path/'m.py').write_text(source)
    nodes, said, _ = docs_api.definitions(tmp_path/'m.py')
    text = docs_api.entry('m', 'f', nodes['f'], said)
    assert 'f(image, *, tol=1e-6, **more)' in text and '```pycon\n>>> f(1)\n1\n```' in text
    assert '| `image` |  | (h, w, 3) in' in text and 'RGB |' in text
    assert '| `tol` `float` | `1e-6` | relative |' in text and '| *returns* `int` |  | how many |' in text
    assert r'Count `pixels` of x\^2.' in text and 'Raises ValueError.' in text
    assert docs_api.entry('m', 'LIMIT', nodes['LIMIT'], said).endswith('```python\nLIMIT = 3\n```\n\npixels')

def test_presets_on_the_page_are_those_of_the_package(staged):
    pytest.importorskip('petsc4py')
    from dataclasses import fields

    import numpy as np

    from sss_nb.params import OFFICIAL, PAPER, STABLE
    text = (staged/'paper_and_program.md').read_text()
    rows = {r[0]: r[1:] for r in re.findall(r'^\| `(\w+)` \| .*? \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$', text, re.M)}
    presets = (PAPER, OFFICIAL, STABLE)
    differ = {f.name for f in fields(OFFICIAL) if len({repr(getattr(p, f.name)) for p in presets}) > 1}
    assert rows.keys() == differ - {'name'} and len(rows) > 10
    for key, values in rows.items():
        for value, preset in zip(values, presets, strict=True):
            assert eval(value, dict(np=np)) == getattr(preset, key), (key, preset.name)

# ------------------------------------------------------------------------------------------- the built site

def missing():
    if not list(ROOT.glob('.venv-docs/.stamp-docs-*')): return 'no environment of the site: make docs'
    if not (ROOT/'.from_npm/tex-svg-full.js').is_file(): return 'no MathJax: make docs'

@pytest.fixture(scope='session')
def site():
    "The site, up to date: a warning is an error. One process at a time builds it."
    if missing(): pytest.skip(missing())
    with open(ROOT/'.venv-docs/lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([ROOT/'tools/make_docs.sh'], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT/'_docs'

class Page(HTMLParser):
    "What a page of HTML asks for, links to, and can be linked at."
    ASKED = {'script': 'src', 'img': 'src', 'iframe': 'src', 'source': 'src', 'video': 'src', 'object': 'data'}

    LEADS = ('canonical', 'author', 'search', 'next', 'prev', 'index')

    def __init__(self, path):
        super().__init__()
        self.asked, self.links, self.ids = [], [], set()
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if 'id' in a: self.ids.add(a['id'])
        if tag in self.ASKED and a.get(self.ASKED[tag]): self.asked.append(a[self.ASKED[tag]])
        if tag == 'link' and a.get('rel') not in self.LEADS: self.asked.append(a['href'])
        if tag == 'a' and a.get('href'): self.links.append(a['href'])

def pages(site): return {p: Page(p) for p in sorted(site.rglob('*.html')) if '_static' not in p.parts}

def test_links_and_requests(site):
    "Every link leads to a page and a place that are there, and no page asks another machine for anything."
    known = pages(site)
    assert len(known) > len(NOTEBOOKS) + len(MODULES)
    for path, page in known.items():
        for asked in page.asked:
            assert not urlsplit(asked).scheme and not asked.startswith('//'), f'{path} asks for {asked}'
            assert (path.parent/unquote(urlsplit(asked).path)).is_file(), f'{path} asks for {asked}: not there'
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link == '#': continue
            to = (path.parent/unquote(parts.path)).resolve() if parts.path else path
            assert to.is_file(), f'{path} links to {link}: no such page'
            if parts.fragment and to.suffix == '.html':
                assert unquote(parts.fragment) in known[to].ids, f'{path} links to {link}: no such place'
    for css in (site/'_static').rglob('*.css'):
        assert not re.search(r'(url\(|@import)\s*["\']?(https?:)?//', css.read_text(errors='replace')), css

def program(*names): return next((p for n in names if (p := shutil.which(n))), None)

BROWSER, DRIVER, AXE = (program('chromium', 'chromium-browser', 'google-chrome'), program('chromedriver'),
                        ROOT/'.from_npm/axe.min.js')
LOOKED_AT = ('index', 'figures', 'speed', 'paper_and_program', 'nbs/05c_eigen', 'wings/layers', 'nbs/layers/04_edit',
             'nbs/tutorials/01_photographer', 'api/sss_nb.eigen', 'project/changelog', 'search')

@pytest.fixture
def browser():
    "Chromium, which can reach no machine but this one."
    if not (BROWSER and DRIVER and AXE.is_file()): pytest.skip('no chromium, chromedriver or axe-core: make browser')
    from selenium import webdriver
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ('headless=new', 'no-sandbox', 'disable-dev-shm-usage', 'disable-gpu', 'hide-scrollbars',
                     'allow-file-access-from-files', 'host-resolver-rules=MAP * ~NOTFOUND'):
        options.add_argument(f'--{argument}')
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_script_timeout(120)
    yield driver
    driver.quit()

AXE_RUN = '''
const done = arguments[0];
axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations.map(
    v => [v.impact, v.id, v.nodes.slice(0, 3).map(n => n.target.join(' ') + ': ' + n.html.slice(0, 120))])))
'''

@pytest.mark.parametrize('mode, width', [('light', 1400), ('dark', 380)])
def test_pages_are_for_everyone(site, browser, mode, width):
    "axe-core finds nothing serious; no page is wider than its window; formulas are set; no other machine is asked."
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride',
                            dict(width=width, height=900, deviceScaleFactor=1, mobile=False))
    for page in LOOKED_AT:
        browser.get(f'file://{site}/{page}.html')
        browser.execute_script('for (const k of ["mode", "theme"]) localStorage.setItem(k, arguments[0])', mode)
        browser.refresh()
        assert browser.execute_script('return document.documentElement.dataset.theme') == mode
        browser.execute_async_script('const done = arguments[0]; (window.MathJax?.startup?.promise '
                                     '|| Promise.resolve()).then(done)')
        requests = browser.execute_script('return performance.getEntriesByType("resource").map(e => e.name)')
        assert all(r.startswith(('file:', 'data:', 'blob:')) for r in requests), requests
        wide = browser.execute_script('return document.documentElement.scrollWidth')
        assert wide <= width, f'{page} is {wide} pixels wide, and the window {width}'
        browser.execute_script(AXE.read_text(encoding='utf-8'))
        found = [v for v in browser.execute_async_script(AXE_RUN) if v[0] in ('serious', 'critical')]
        assert not found, f'{page}, {mode}, {width}:\n{json.dumps(found, indent=1)}'
        if page == 'nbs/05c_eigen': assert len(browser.find_elements('css selector', 'mjx-container svg')) > 20
