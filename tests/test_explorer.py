"""The explorer: its state without a browser, its process, and its page in a real one. `make browser` installs that."""
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64decode
from dataclasses import replace

import nbformat
import numpy as np
import psutil
import pytest
from house import ROOT, python
from PIL import Image

from sss_nb.explorer import Explorer
from sss_nb.layers.colors import composite
from sss_nb.layers.files import read_layers
from sss_nb.params import STABLE
from sss_nb.pictures.files import load_image, save_image
from sss_nb.pictures.registry import fetch
from sss_nb.pictures.resize import resize_image
from sss_nb.pictures.scene import synthetic_scene
from sss_nb.views.scene import same_layers
from sss_nb.views.state import History, State, click, merge, rename, renumber, solo_one

FEW = replace(STABLE, superpixels=100, eigenvectors=20, clusters=8)
SCENE = synthetic_scene(64)[0]

# -------------------------------------------------------------------------------------------- without a browser

def some_step(state, rng):
    "Any of the things that a user does."
    layers = list(state.layers)
    pairs = rng.permutation(layers)[:2].tolist()
    steps = [lambda: solo_one(state, pairs[0]), lambda: rename(state, pairs[0], f'{rng.random()}'),
             lambda: click(state, tuple(rng.integers(0, 64, 2).tolist()), 'new'),
             lambda: replace(state, opacity=float(rng.random())), lambda: replace(state, view='segments', index=2)]
    if len(layers) > 1: steps.append(lambda: merge(state, pairs))
    return steps[rng.integers(len(steps))]()

@pytest.mark.parametrize('seed', range(5))
def test_everything_can_be_undone_and_done_again(seed):
    rng, history = np.random.default_rng(seed), History(State(groups=tuple(range(12))))
    states = [history.now]
    for _ in range(40):
        history = history.do(some_step(history.now, rng))
        if history.now != states[-1]: states.append(history.now)
    assert len(states) > 20
    for state in reversed(states):
        assert history.now == state
        history = history.undo()
    assert history.now == states[0] == history.undo().now
    for state in states:
        assert history.now == state
        history = history.redo()
    assert history.redo().now == states[-1]

def test_numbers_follow_the_largest_part():
    rng = np.random.default_rng(0)
    for _ in range(50):
        areas, before, after = rng.random(9), rng.integers(0, 5, 9), rng.integers(0, 4, 9)
        groups = np.array(renumber(after, before, areas))
        assert same_layers(groups, after)
        for new in set(groups) & set(before): assert areas[(groups == new) & (before == new)].sum() > 0

@pytest.fixture
def session():
    made = []
    def make(photo=SCENE, features='classical', params=FEW, **how):
        made.append(Explorer(photo, features, params, **how))
        return made[-1]
    yield make
    for one in made: one.cancel()

def test_the_second_result_keeps_what_was_done_with_the_first(session):
    photo = load_image(fetch('chelsea'), max_size=256)
    e = session(photo, params=replace(FEW, eigenvectors=30, clusters=16))
    while e.scene is None: e._take(*e._inbox.get(timeout=100))
    assert not e.scene.final
    e.cut(4)
    layer = e.state.layers[1]
    e.rename(layer, 'mine')
    e.pick(100, 60)
    before = e.state
    e.wait()
    assert e.scene.final and len(e.scene.cuts) == len(e.state.groups)
    assert e.state.points == before.points and e.state.named(layer) == 'mine' and len(e.state.layers) == 4
    for _ in range(3): e.undo()
    assert len(e.state.layers) == 5 and not e.state.names and e.state.view == 'layers'

def test_a_first_look_comes_before_the_result(session):
    e = session(resize_image(load_image(fetch('chelsea'), max_size=320), (240, 320)), None, STABLE)
    while e.scene is None: e._take(*e._inbox.get(timeout=100))
    assert not e.scene.final and not e.ready and e.picture().shape == (240, 320, 3)

def test_cancelled_and_run_again(session):
    e = session(load_image(fetch('chelsea'), max_size=256))
    while e.scene is None: e._take(*e._inbox.get(timeout=100))
    process = e._worker.process
    e.cancel()
    assert process.wait(10) == -signal.SIGKILL and not e.busy and not e.ready
    e.cut(2)
    assert e.picture().shape == e.shown.shape and len(e.state.layers) == 2
    with pytest.raises(ValueError, match='a finished run'): e.export('x.tif')
    e.run()
    assert e.wait().ready and len(e.state.layers) == 2

def test_every_kind_of_file_holds_the_layers(session, tmp_path):
    e = session(folder=tmp_path).wait()
    e.rename(e.state.layers[1], 'mine')
    for name in ('a.psd', 'a.ora', 'a.tif', 'a', 'a.npz'):
        e.export(name)
        assert e.wait().notice == f'Written: {tmp_path/name}'
        colors, alphas, names = read_layers(tmp_path/name)
        assert names[1] == 'mine' and alphas.shape == (64, 64, 5)
        assert np.abs(composite(colors, alphas) - SCENE).max() < 1.5/255
        e.export(name)
        assert e.wait().wrong and name in e.notice                  # nothing is overwritten unasked
    e.export('a.psd', overwrite=True)
    assert not e.wait().wrong
    e.export('a.doc')
    assert e.wait().wrong and not list(tmp_path.glob('*.doc'))

def test_a_killed_process_says_what_to_do(session):
    e = session()
    e._worker.process.kill()
    e.wait()
    assert not e.ready and e.wrong and 'lack of memory' in e.notice and 'max_size' in e.notice

def test_ctrl_c_is_not_for_the_process(session):
    e = session()
    e._take(*e._inbox.get(timeout=100))                     # it is past its start
    e._worker.process.send_signal(signal.SIGINT)
    assert e.wait().ready

def test_an_unreadable_photograph_says_why(session, tmp_path):
    (tmp_path/'a.jpg').write_bytes(b'no picture')
    e = session(tmp_path/'a.jpg')
    e.wait()
    assert e.wrong and 'a.jpg' in e.notice and not e.ready
    with pytest.raises(FileNotFoundError, match='b.jpg'): session(tmp_path/'b.jpg')

ORPHAN = '''
import sys, time
from sss_nb.explorer import Explorer
from sss_nb.pictures.registry import fetch
e = Explorer(fetch('astronaut'))
print(e._worker.process.pid, flush=True)
time.sleep(100)
'''

def test_no_process_outlives_its_kernel():
    kernel = subprocess.Popen([sys.executable, '-c', ORPHAN], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(kernel.stdout.readline()))
    time.sleep(2)
    kernel.kill()
    kernel.wait()
    assert worker.wait(20) is None or not worker.is_running()

def test_without_the_widgets_it_says_what_to_install():
    code = "import sys; sys.modules['anywidget'] = None\nfrom sss_nb.explorer import explore\nexplore('a.jpg')"
    done = python(code)
    assert 'ImportError' in done.stderr and 'pip install ipywidgets anywidget' in done.stderr

def test_the_text_beside_the_page_says_what_is_missing(session):
    bundle = session()._repr_mimebundle_()
    assert 'application/vnd.jupyter.widget-view+json' in bundle and 'pip install' in bundle['text/plain']

# ------------------------------------------------------------------------------------------------ in a browser

def program(*names): return next((path for name in names if (path := shutil.which(name))), None)

BROWSER, DRIVER = program('chromium', 'chromium-browser', 'google-chrome'), program('chromedriver')
in_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason='no chromium or no chromedriver: make browser')

CELL = '''
from dataclasses import replace
from sss_nb.explorer import explore
from sss_nb.params import STABLE
few = replace(STABLE, superpixels=100, eigenvectors=20, clusters=8)
explore({photo!r}, 'classical', params=few, folder={folder!r})
'''

def notebook(folder, *photos):
    "A notebook with a cell for each photograph, which opens it."
    cells = [nbformat.v4.new_code_cell(CELL.format(photo=str(photo), folder=str(folder))) for photo in photos]
    kernel = dict(name='python3', display_name='python3', language='python')
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=kernel)), folder/'page.ipynb')
    return folder/'page.ipynb'

def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

class Server:
    "Voilà on a free port of this machine, as `make explore` starts it."
    def __init__(self, notebook, *options, **environment):
        self.start('voila', f'--Voila.config_file_paths={ROOT}/tools', *options, notebook, **environment)

    def start(self, program, *options, **environment):
        programs = os.path.dirname(sys.executable)
        known = os.environ | dict(PYTHONPATH=str(ROOT), PATH=f'{programs}:{os.environ["PATH"]}')
        self.process = subprocess.Popen(
            [os.path.join(programs, program), '--no-browser', f'--port={free_port()}', *options],
            env=known | environment, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for line in self.process.stderr:
            if found := re.search(r'http://127\S+|http://localhost\S+', line): break
        self.url = found[0]
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def children(self): return psutil.Process(self.process.pid).children(recursive=True)

    def end(self):
        left = self.children()
        self.process.terminate()
        self.process.wait(20)
        _, alive = psutil.wait_procs(left, 20)
        assert not alive, f'left behind: {alive}'

class Lab(Server):
    "JupyterLab, without the settings of whoever runs the tests, and without some of its extensions."
    def __init__(self, notebook, *disabled):
        config = notebook.parent/'config'
        (config/'labconfig').mkdir(parents=True)
        off = json.dumps(dict(disabledExtensions=dict.fromkeys(disabled, True)))
        (config/'labconfig/page_config.json').write_text(off)
        places = {f'JUPYTERLAB_{name}_DIR': str(config/name) for name in ('SETTINGS', 'WORKSPACES')}
        self.start('jupyter-lab', '--ip=127.0.0.1', '--allow-root', '--expose-app-in-browser',
                   f'--ServerApp.root_dir={notebook.parent}', JUPYTER_CONFIG_DIR=str(config), **places)
        self.url = self.url.replace('/lab?', f'/lab/tree/{notebook.name}?')

class Page:
    "The page in a browser, and what a user can do there."
    def __init__(self, url, width=1400, height=1000):
        from selenium import webdriver
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for argument in ('headless=new', 'no-sandbox', 'disable-dev-shm-usage', 'disable-gpu', 'hide-scrollbars',
                         f'window-size={width},{height}'): options.add_argument(f'--{argument}')
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        keys = webdriver.Keys
        self.SHIFT, self.ALT, self.CONTROL, self.ENTER = keys.SHIFT, keys.ALT, keys.CONTROL, keys.ENTER
        self.LEFT, self.RIGHT, self.UP, self.DOWN = keys.LEFT, keys.RIGHT, keys.UP, keys.DOWN
        self.open(url)

    def open(self, url):
        self.driver.get(url)
        return self

    def js(self, code, *arguments): return self.driver.execute_script(code, *arguments)
    def all(self, css): return self.driver.find_elements('css selector', css)
    def one(self, css): return self.driver.find_element('css selector', css)
    def text(self, css): return self.js('return document.querySelector(arguments[0]).textContent', css)

    def until(self, condition, seconds=120):
        "Wait until a condition holds; return what it gives."
        from selenium.common.exceptions import WebDriverException
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if value := condition(): return value
            except (StopIteration, WebDriverException): pass
            time.sleep(.05)
        raise TimeoutError(self.js('return document.body.innerText'))

    def finished(self):
        "Wait until nothing runs."
        self.until(lambda: self.all('.sss-layer') and not self.text('.sss-run') and self.all('[aria-busy=false]'))
        return self

    def restart(self):
        "Undo all that was done."
        def undone():
            if self.button('Undo').is_enabled(): self.button('Undo').click()
            return not self.button('Undo').is_enabled()
        self.until(undone)
        self.button('Pick').click()
        return self.finished()

    def pixels(self):
        "(h, w, 3) uint8: the picture as the browser has it."
        url = self.until(lambda: self.js('''
            const image = document.querySelector('.sss-image'), canvas = document.createElement('canvas');
            if (!image.complete || !image.naturalWidth) return '';              // between two pictures
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            canvas.getContext('2d').drawImage(image, 0, 0);
            return canvas.toDataURL('image/png');'''))
        return np.asarray(Image.open(io.BytesIO(b64decode(url.split(',')[1]))).convert('RGB')).astype(int)

    def click(self, x, y, key=None):
        "A click into the picture, at shares of its width and height."
        from selenium.webdriver import ActionChains
        frame, actions = self.one('.sss-frame'), ActionChains(self.driver)
        if key: actions.key_down(key)
        size = frame.size
        x, y = (round((at - .5)*size[side]) for at, side in ((x, 'width'), (y, 'height')))
        actions.move_to_element_with_offset(frame, x, y).click()
        if key: actions.key_up(key)
        actions.perform()

    def keys(self, *keys):
        from selenium.webdriver import ActionChains
        ActionChains(self.driver).send_keys(*keys).perform()

    def chord(self, held, *keys):
        "Keys while another is held."
        from selenium.webdriver import ActionChains
        ActionChains(self.driver).key_down(held).send_keys(*keys).key_up(held).perform()

    def write(self, control, text):
        "Type a text in place of the one that is there; it counts with Enter."
        self.js('arguments[0].select()', control)
        control.send_keys(text, self.ENTER)

    def choose(self, name, option):
        from selenium.webdriver.support.select import Select
        Select(self.named(name)).select_by_visible_text(option)

    def accessible(self):
        "What a screen reader is told: role, name and whether it takes the focus, of all in the explorer."
        nodes = self.driver.execute_cdp_cmd('Accessibility.getFullAXTree', {})['nodes']
        properties = ({p['name']: p['value'].get('value') for p in n.get('properties', ())} for n in nodes)
        said = [dict(role=n['role']['value'], name=n.get('name', {}).get('value', ''), focusable=p.get('focusable'))
                for n, p in zip(nodes, properties, strict=True) if not n['ignored']]
        return [node for node in said if node['role'] != 'RootWebArea']

    def button(self, text): return next(b for b in self.all('.sss-explorer button') if b.text == text)

    def named(self, name):
        "The control with this accessible name."
        return next(e for e in self.all('.sss-explorer input, .sss-explorer select, .sss-explorer [role=slider]')
                    if e.accessible_name == name)

@pytest.fixture(scope='module')
def server(tmp_path_factory):
    "The test scene, opened by Voilà: two circles and more, of which it is known where they are."
    folder = tmp_path_factory.mktemp('explorer')
    save_image(folder/'scene.png', SCENE)
    server = Server(notebook(folder, folder/'scene.png'))
    server.folder = folder
    yield server
    server.end()

@pytest.fixture(scope='module')
def browser():
    page = Page('about:blank')
    yield page
    page.driver.quit()

@pytest.fixture
def page(server, browser):
    "The page with its result, as it was opened."
    if browser.driver.current_url.startswith(server.url.split('?')[0]): return browser.restart()
    return browser.open(server.url).finished()

def changed(before, after, by=40):
    "Where two pictures differ by more than JPEG makes them."
    return np.abs(before - after).max(-1) > by

PHOTO = np.uint8(255*SCENE).astype(int)
GREY = (PHOTO @ [.2126, .7152, .0722])[..., None]

@in_browser
def test_an_object_is_picked_and_its_background_replaced(page):
    start = page.pixels()
    page.click(.5, .5)
    page.until(lambda: page.text('.sss-said').startswith('Picked: column 32, row 3'))
    page.finished()
    assert len(page.all('.sss-pick')) == 1
    kept, dimmed = ~changed(page.pixels(), PHOTO), ~changed(page.pixels(), .3*GREY + 5, by=12)
    assert kept[32, 32] and kept.mean() > .02 and dimmed.mean() > .2      # the object as it was, the rest dimmed
    page.choose('Background', 'One colour')
    page.until(lambda: not changed(page.pixels()[dimmed & ~kept], np.full(3, 255)).any())
    away = np.argwhere(dimmed & ~kept)[0]
    page.click((away[1] + .5)/64, (away[0] + .5)/64, page.SHIFT)
    page.until(lambda: len(page.all('.sss-pick')) == 2 and not changed(page.pixels(), PHOTO)[tuple(away)])
    page.finished()
    page.click((away[1] + .5)/64, (away[0] + .5)/64, page.ALT)
    page.until(lambda: len(page.all('.sss-away')) == 1 and changed(page.pixels(), PHOTO)[tuple(away)])
    page.restart()
    page.until(lambda: (page.pixels() == start).all())
    assert not page.button('Undo').is_enabled() and page.button('Redo').is_enabled()

@in_browser
def test_the_slider_makes_layers_and_rows(page):
    rows, before = len(page.all('.sss-layer')), page.pixels()
    page.named('How many').send_keys(page.LEFT)
    page.until(lambda: len(page.all('.sss-layer')) == rows - 1 and changed(before, page.pixels()).mean() > .01)
    page.finished()
    ticks = [box for box in page.all('.sss-layer input[type=checkbox]')]
    for tick in ticks[:2]: tick.click()
    page.button('Merge ticked').click()
    page.until(lambda: len(page.all('.sss-layer')) == rows - 2)
    page.write(page.one('.sss-layer input[type=text]'), 'sky')
    page.button('Solo').click()
    page.until(lambda: page.all('.sss-layer [aria-pressed=true]'))
    assert page.one('.sss-layer input[type=text]').get_attribute('value') == 'sky'
    page.js("document.querySelector('.sss-frame').focus()")
    for _ in range(6): page.chord(page.CONTROL, 'z')
    page.until(lambda: len(page.all('.sss-layer')) == rows and (page.pixels() == before).all())
    assert page.one('.sss-layer input[type=text]').get_attribute('value') == 'layer 1'
    page.chord(page.CONTROL, 'y')
    page.until(lambda: len(page.all('.sss-layer')) == rows - 1)

@in_browser
def test_keys_do_what_a_mouse_does(page):
    page.click(.5, .5)
    page.until(lambda: page.all('.sss-pick'))
    page.restart().js("document.querySelector('.sss-frame').focus()")
    page.keys(page.RIGHT, page.RIGHT, page.DOWN)
    page.until(lambda: page.text('.sss-said').startswith('column 33, row 32: layer'))
    page.keys(page.ENTER)
    page.until(lambda: len(page.all('.sss-pick')) == 1)
    page.chord(page.SHIFT, page.UP, page.UP, page.UP)
    page.chord(page.SHIFT, page.ENTER)
    page.until(lambda: len(page.all('.sss-pick')) == 2)
    page.chord(page.ALT, page.ENTER)
    page.until(lambda: len(page.all('.sss-away')) == 1)
    page.chord(page.CONTROL, 'z')
    page.until(lambda: not page.all('.sss-away') and page.text('.sss-said') == 'Undone')

@in_browser
def test_every_control_has_a_name(page):
    "As a screen reader is told by the browser, in each view."
    for view in ('Segments', 'Eigenvectors', 'Object', 'Layers'):
        page.button(view).click()
        page.until(lambda view=view: page.button(view).get_attribute('aria-pressed') == 'true')
        nameless = [node for node in page.accessible() if node['focusable'] and not node['name']]
        assert not nameless, f'{view}: {nameless}'
    roles = {node['role'] for node in page.accessible() if node['focusable']}
    assert {'button', 'slider', 'textbox', 'checkbox', 'combobox', 'application'} <= roles

@in_browser
@pytest.mark.parametrize('width', [420, 1400])
def test_it_fits(page, width):
    page.driver.set_window_size(width, 900)
    outside = page.until(lambda: page.js('''
        const nodes = document.querySelectorAll('.sss-explorer :is(button, input, select, .sss-frame)');
        const boxes = [...nodes].map(node => [node, node.getBoundingClientRect()]).filter(([_, box]) => box.width);
        return boxes.map(([node, box]) => [node.outerHTML.slice(0, 80), box.left, box.right]);'''))
    page.driver.set_window_size(1400, 1000)
    assert all(0 <= left and right <= width for _, left, right in outside), outside

@in_browser
def test_a_picture_stands_behind_the_object(page, server):
    save_image(server.folder/'red.png', np.ones((40, 80, 3))*[1., 0, 0])
    (server.folder/'half.png').write_bytes((server.folder/'red.png').read_bytes()[:60])
    page.click(.5, .5)
    page.until(lambda: page.all('.sss-pick'))
    page.choose('Background', 'A picture')
    page.until(lambda: page.named('Picture').is_displayed())
    for name in ('missing.png', 'half.png'):
        page.write(page.named('Picture'), str(server.folder/name))
        page.until(lambda name=name: name in page.text('.sss-wrong'))
    page.write(page.named('Picture'), str(server.folder/'red.png'))
    page.until(lambda: not page.all('.sss-wrong') and not changed(page.pixels(), (255, 0, 0)).all())
    assert changed(page.pixels(), (255, 0, 0))[32, 32]                    # the object stands before it

@in_browser
def test_eigenvectors_and_segments_are_leafed_through(page):
    start = page.pixels()
    for view, name in (('Segments', 'Segment'), ('Eigenvectors', 'Eigenvector')):
        page.button(view).click()
        page.until(lambda name=name: page.named(name).is_displayed() and changed(start, page.pixels()).any())
        first = page.pixels()
        page.named(name).send_keys(page.RIGHT, page.RIGHT)
        page.until(lambda first=first: changed(first, page.pixels()).mean() > .01)

@in_browser
def test_opacity_changes_the_colours(page):
    page.named('Opacity').send_keys(*[page.LEFT]*12)
    page.until(lambda: changed(page.pixels(), PHOTO).mean() < .01)        # 0 %: the photograph itself

@in_browser
def test_layers_are_written_once_and_can_be_opened(page, server):
    from psd_tools import PSDImage
    for old in server.folder.glob('scene-*'): old.unlink()
    page.choose('What', 'Layers: Photoshop (.psd)')
    page.until(lambda: page.named('Name').get_attribute('value') == 'scene-layers.psd')
    page.write(page.one('.sss-layer input[type=text]'), 'a circle')
    page.until(lambda: page.button('Undo').is_enabled())
    page.button('Export').click()
    written = page.until(lambda: re.search(r'Written: (\S+)', page.text('.sss-note')))[1]
    psd = PSDImage.open(written)
    assert written == str(server.folder/'scene-layers.psd') and len(psd) == 5 and 'a circle' in [x.name for x in psd]
    assert np.abs(np.asarray(psd.composite(force=True).convert('RGB')).astype(int) - PHOTO).max() <= 1
    page.button('Export').click()
    page.until(lambda: 'scene-layers.psd' in page.text('.sss-wrong'))              # said aloud, as an alert
    assert page.one('.sss-wrong').get_attribute('role') == 'alert'
    page.write(page.named('Name'), 'nowhere/a.psd')
    page.button('Export').click()
    page.until(lambda: 'nowhere' in page.text('.sss-wrong'))
    assert [p.name for p in server.folder.glob('scene-*')] == ['scene-layers.psd']
    assert not list(server.folder.glob('.*.part')) and not list(server.folder.glob('nowhere*'))

@in_browser
def test_an_object_is_cut_out_into_a_file(page, server):
    for old in server.folder.glob('scene-object*'): old.unlink()
    page.click(.5, .5)
    page.until(lambda: page.all('.sss-pick'))
    page.choose('What', 'Object: cut out (.png)')
    page.write(page.named('Name'), 'scene-object.png')
    page.finished().button('Export').click()
    written = page.until(lambda: re.search(r'Written: (\S+)', page.text('.sss-note')))[1]
    with Image.open(written) as cut: samples = np.asarray(cut)
    assert samples.shape == (64, 64, 4) and samples[32, 32, 3] > 200 and .02 < (samples[..., 3] > 128).mean() < .9

@in_browser
def test_the_run_shows_its_stages_and_can_be_cancelled(tmp_path, browser):
    "A larger photograph, by the page of `make explore` itself: a first look, the page in use meanwhile, the end of it."
    save_image(tmp_path/'cat.png', load_image(fetch('chelsea'), max_size=448))
    server = Server(ROOT/'nbs/tutorials/explore.ipynb', SSS_NB_PHOTO=str(tmp_path/'cat.png'))
    page = browser.open(server.url)
    try:
        page.until(lambda: page.all('.sss-layer'))
        look, stage = page.pixels(), page.text('.sss-run')
        assert stage and page.one('.sss-run progress').accessible_name == 'Run'
        page.named('How many').send_keys(page.LEFT, page.LEFT)
        page.until(lambda: len(page.all('.sss-layer')) == 3 and changed(look, page.pixels()).any(), 30)
        page.until(lambda: page.text('.sss-run') not in ('', stage))          # it goes on meanwhile
        [worker] = [p for p in server.children() if '_serve' in ' '.join(p.cmdline())]
        page.button('Cancel').click()
        _, alive = psutil.wait_procs([worker], 30)
        assert not alive and page.until(lambda: page.button('Run again'))
        assert len(page.all('.sss-layer')) == 3 and not page.button('Export').is_enabled()
    finally: server.end()

@in_browser
def test_a_browser_that_goes_away_leaves_nothing_running(server):
    own = Server(server.folder/'page.ipynb', '--MappingKernelManager.cull_interval=1',
                 '--MappingKernelManager.cull_idle_timeout=15')
    try:
        page = Page(own.url)
        page.until(lambda: page.all('.sss-frame'))
        assert any('_serve' in ' '.join(p.cmdline()) for p in own.children())
        for process in psutil.Process(page.driver.service.process.pid).children(recursive=True): process.kill()
        page.driver.service.stop()
        end = time.monotonic() + 120
        while own.children() and time.monotonic() < end: time.sleep(.2)
        assert not own.children()
    finally: own.end()

@pytest.fixture(scope='module')
def damaged(tmp_path_factory):
    "A folder with the test scene, half of it, and a notebook that opens both."
    folder = tmp_path_factory.mktemp('lab')
    whole = save_image(folder/'scene.png', SCENE).read_bytes()
    (folder/'half.png').write_bytes(whole[:len(whole)//2])
    return notebook(folder, folder/'scene.png', folder/'half.png')

def run_notebook(page, lab):
    "Run all cells, when the kernel is ready."
    kernel = 'window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status'
    page.open(lab.url).until(lambda: page.js(f'return {kernel}') == 'idle')
    page.js("window.jupyterapp.commands.execute('notebook:run-all-cells')")

@in_browser
def test_in_jupyterlab(damaged, browser):
    "A notebook that opens a photograph, and a damaged one below: clicks and keys are the page's, not JupyterLab's."
    lab = Lab(damaged)
    try:
        run_notebook(browser, lab)
        browser.finished()
        browser.until(lambda: 'half.png' in browser.text('.sss-wrong'))
        browser.click(.5, .5)
        browser.until(lambda: browser.text('.sss-said').startswith('Picked'))
        browser.click(.1, .1, browser.SHIFT)
        browser.until(lambda: len(browser.all('.sss-pick')) == 2)
        browser.keys(browser.RIGHT, 'b', 'a', browser.ENTER)      # JupyterLab would make cells of these letters
        browser.until(lambda: len(browser.all('.sss-pick')) == 1)
        browser.chord(browser.CONTROL, 'z')
        browser.until(lambda: len(browser.all('.sss-pick')) == 2 and browser.text('.sss-said') == 'Undone')
        assert len(browser.all('.jp-Notebook .jp-CodeCell')) == 2
    finally:
        browser.open('about:blank')
        lab.end()

@in_browser
def test_jupyterlab_without_the_extension_says_what_to_do(tmp_path, browser):
    save_image(tmp_path/'scene.png', SCENE)
    lab = Lab(notebook(tmp_path, tmp_path/'scene.png'), '@jupyter-widgets/jupyterlab-manager')
    try:
        run_notebook(browser, lab)
        browser.until(lambda: 'pip install ipywidgets anywidget' in browser.text('.jp-OutputArea-output'))
    finally:
        browser.open('about:blank')
        lab.end()

def test_the_page_is_for_this_machine_only(server):
    sockets = psutil.Process(server.process.pid).net_connections('inet')
    assert {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN} == {'127.0.0.1'}
    with urllib.request.urlopen(server.url.split('?')[0]) as answer: assert '/login' in answer.url    # no token
    with urllib.request.urlopen(server.url) as answer: policy = answer.headers['Content-Security-Policy']
    assert policy.startswith("default-src 'self'") and 'http' not in policy and '*' not in policy
