#!/usr/bin/env python3
"""Write the sources of the site to _proc: notebooks through nbdev's processors, pages of docs/, the reference.

Outputs are those stored in git: nothing is executed, and nothing of sss_nb is imported. `make docs` does the rest.
Another folder than _proc/source can be named: tools/stage_docs.py FOLDER.
A line `<!-- name words -->` of a page in docs/ is replaced by what the function `name` of FILLERS returns.
"""
import ast
import json
import os
import posixpath
import re
import shlex
import sys
from base64 import b64decode
from functools import cache
from html import escape
from pathlib import Path

from execnb.nbio import mk_cell, nb2str
from nbdev.process import NBProcessor, Processor
from nbdev.processors import clean_magics, filter_stream_, hide_, hide_line, rm_header_dash, strip_ansi

sys.path.insert(0, str(Path(__file__).parent))
import docs_api  # noqa: E402
import make_figures  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
NBS, OUT = ROOT/'nbs', ROOT/'_proc/source'
PAGES = {'CONTRIBUTING.md': 'project/contributing.md', 'CHANGELOG.md': 'project/changelog.md',
         'data/README.md': 'project/data.md', 'data/weights/README.md': 'project/weights.md',
         'data/weights/matting/README.md': 'project/matting_weights.md', 'README.md': 'nbs/index.ipynb'}
SHELVES = ('figures', 'tutorials', 'benchmarks')                    # of nbs; every other folder is a wing
WINGS = ('pictures', 'networks', 'learning', 'layers', 'matting', 'views', 'plumbing')  # those that are there first
NO_MODULE = {'plumbing': 'The guards at the edges, folders of photographs, the command line, the explorer, and '
                         'measuring.'}

STAGED = set()

def put(name, content):
    "Write a file of the site's sources, unless it is there just so: Sphinx then need not read it again."
    path, data = OUT/name, content if isinstance(content, bytes) else content.encode()
    STAGED.add(path)
    if path.is_file() and path.read_bytes() == data: return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

@cache
def read(path): return json.loads(path.read_text(encoding='utf-8'))
def source(cell): return ''.join(cell['source'])
def place(path): return path.relative_to(ROOT).as_posix()

@cache
def notebooks():
    "Every notebook of the site, in its order."
    def seen(path): return not any(x.startswith(('_', '.')) for x in path.relative_to(NBS).parts)
    return sorted(p for p in NBS.rglob('*.ipynb') if seen(p))

def heading(path):
    "Title, and the sentence after it, of a notebook."
    first = next(source(c) for c in read(path)['cells'] if c['cell_type'] == 'markdown')
    said = re.search(r'^> ((?:.+\n?(?:> ?)?)+)', first, re.M)
    return first.split('\n')[0].lstrip('# '), ' '.join(said[1].replace('\n>', '\n').split()) if said else ''

# --------------------------------------------------------------------------------------------------- links

@cache
def wings():
    "The folders of nbs that are wings, in their order."
    there = sorted(p.name for p in NBS.iterdir() if p.is_dir() and any(p.rglob('*.ipynb')) and p.name not in SHELVES)
    return sorted(there, key=lambda name: WINGS.index(name) if name in WINGS else len(WINGS))

def target(link, folder):
    "Where a link of a file in `folder` leads in the site, from its top; '' where the site has no such page."
    if re.match(r'[a-z]+:|/', link): return link                      # the second: from the top already
    path, _, anchor = link.partition('#')
    anchor = f'#{anchor.lower()}'*bool(anchor)
    if not path: return anchor
    path = posixpath.normpath(posixpath.join(folder, path))
    if path in PAGES: return f'/{PAGES[path]}{anchor}'
    if path.removeprefix('nbs/') in wings(): return f'/wings/{path.removeprefix("nbs/")}.md'
    if path.removeprefix('nbs/') in SHELVES: return f'/{path.removeprefix("nbs/")}.md'
    return f'/{path}{anchor}' if (ROOT/path).is_file() and path.startswith(('nbs/', 'figures/')) else ''

def linked(markdown, folder):
    "Markdown with its links as the site has them; a link to what it has not becomes words."
    def moved(m):
        to = target(m[2], folder)
        return f'{m[1]}]({to})' if to else m[1].lstrip('![')
    return outside_code(lambda s: re.sub(r'(!?\[(?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)', moved, s), markdown)

def outside_code(change, markdown):
    "`change` made to all of the Markdown but its code."
    parts = re.split(r'(```.*?```|`[^`\n]+`(?!\]\())', markdown, flags=re.S)
    return ''.join(p if k % 2 else change(p) for k, p in enumerate(parts))

def known_names():
    "{name: (module, name)} of what one module alone calls so."
    found = {}
    for module, path in docs_api.modules().items():
        for name in docs_api.definitions(path)[0]: found.setdefault(name, []).append(module)
    return {name: ms[0] for name, ms in found.items() if len(ms) == 1 and len(name) > 4}

def named(markdown, names):
    "The first mention of each public name, `in code`, as a link to the reference."
    met = set()
    def link(m):
        name = m[1].removesuffix('()')
        if name in met or name not in names: return m[0]
        met.add(name)
        return f'[`{m[1]}`](project:#{docs_api.label(names[name], name)})'
    lines = markdown.split('\n')
    code = [line.startswith(('#', '    ')) or '](' in line for line in lines]
    return '\n'.join(s if skip else re.sub(r'`([\w.]+(?:\(\))?)`', link, s)
                     for s, skip in zip(lines, code, strict=True))

# ----------------------------------------------------------------------------------------------- notebooks

def exported(notebook):
    "The module that a notebook exports to, or None."
    found = re.search(r'^#\| *default_exp +(\S+)', '\n'.join(map(source, notebook['cells'])), re.M)
    return found and f'sss_nb.{found[1]}'

def parsed(code):
    try: return ast.parse(code).body
    except SyntaxError: return []

def default_exp_(cell, *_):
    "nbdev's directive says where a notebook is exported to: not for readers."
    del cell['source']

class FoldImports(Processor):
    "Cells that only import are folded away, several in a row as one."
    def begin(self): self.before = None

    def cell(self, cell):
        body = parsed(cell.source) if cell.cell_type == 'code' else []
        if not body or not all(isinstance(n, ast.Import | ast.ImportFrom) for n in body): self.before = None
        elif self.before:
            self.before.source += f'\n\n{cell.source.strip()}'
            del cell['source']
        else:
            shown = dict(code_prompt_show='Imports', code_prompt_hide='Imports')
            cell.metadata |= dict(tags=['hide-input'], mystnb=shown)
            self.before = cell

def only_stored(cell):
    "Widgets need a kernel, and here is none; empty cells tell nothing."
    if cell.cell_type != 'code': return
    cell.outputs = [o for o in cell.outputs if not any('widget' in kind for kind in o.get('data', {}))]
    if not cell.source.strip() and not cell.outputs: del cell['source']

class Described(Processor):
    "Alt texts for pictures: the section, and the sentence that leads to them; for a figure, its caption."
    def begin(self):
        self.words = self.section = ''
        texts = [c.source for c in self.nb.cells if c.cell_type == 'markdown']
        self.caption = next((t.removeprefix('**Caption.**') for t in texts if t.startswith('**Caption.**')), '')

    def cell(self, cell):
        if cell.cell_type == 'markdown':
            self.section = (re.findall(r'^#+ +(.+)$', cell.source, re.M) or [self.section])[-1]
            told = re.split(r'\n\s*\n', cell.source)
            self.words = next((p for p in told[::-1] if not p.lstrip().startswith(('#', '|', '$$', '>', '- '))), '')
        elif any('image/png' in o.get('data', {}) for o in cell.outputs):
            first = re.split(r'(?<=[.!?]) (?=[A-Z])', make_figures.plain(self.caption or self.words))[0]
            alt = '. '.join(make_figures.plain(s).rstrip('.:') for s in (self.section, first) if s)
            cell.metadata.setdefault('mystnb', {})['image'] = dict(alt=alt[:300])

class Referred(Processor):
    "Links: those of the text, from names in code to the reference, and from each definition to its entry there."
    def begin(self):
        self.names, self.folder, self.module = self.nb.names, self.nb.folder, self.nb.module
        if self.module: self.add(1, f'Module `{self.module}` · [reference](/api/{self.module}.md)')

    def add(self, k, text):
        "A small line before cell `k`, with an id that is the same each time."
        cell = mk_cell(f'{{.reference}}\n{text}', 'markdown')
        cell['id'] = f'{self.nb.cells[k - 1]["id"]}-reference'
        self.nb.cells.insert(k, cell)

    def cell(self, cell):
        if cell.cell_type == 'markdown': cell.source = named(linked(cell.source, self.folder), self.names)

    def end(self):
        for cell in reversed(self.nb.cells):
            if cell.cell_type == 'code' and 'export' in cell.directives_: self.mark(cell)

    def mark(self, cell):
        "A line with links to the entries of what the cell defines, after it."
        defined = [n.name for n in parsed(cell.source) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        links = [f'[`{n}`](project:#{docs_api.label(self.module, n)})' for n in defined if n in self.nb.public]
        if links: self.add(self.nb.cells.index(cell) + 1, 'Reference: ' + ', '.join(links))

NBDEV = [strip_ansi, hide_line, filter_stream_, rm_header_dash, clean_magics, hide_]

def stage_notebook(path, names):
    "One notebook, as the site shows it."
    nb = NBProcessor(path, rm_directives=True)
    module = exported(read(path))
    nb.nb.names, nb.nb.folder, nb.nb.module = names, place(path.parent), module
    nb.nb.public = docs_api.definitions(docs_api.modules()[module])[0] if module in docs_api.modules() else {}
    procs = [*NBDEV, default_exp_, FoldImports, only_stored, Described, Referred]
    nb.procs = [p(nb=nb.nb) if isinstance(p, type) else p for p in procs]
    nb.process()
    for key in ('names', 'folder', 'module', 'public'): nb.nb.pop(key)
    nb.nb.metadata['language_info'] = dict(name='python', pygments_lexer='ipython3')
    put(place(path), nb2str(nb.nb))

# ------------------------------------------------------------------------------------------------- fillers

def toctree(names): return '```{toctree}\n:hidden:\n\n' + '\n'.join(names) + '\n```'

def chapters(*patterns):
    "Title and sentence of each notebook, and their place in the site's contents."
    found = [p for p in notebooks() for pattern in patterns if p.relative_to(ROOT).match(pattern)]
    lines = [f'- [{title}](/{place(p)})' + f': {linked(sentence, place(p.parent))}'*bool(sentence)
             for p in found for title, sentence in [heading(p)]]
    return '\n'.join(lines) + '\n\n' + toctree(f'/{place(p)}' for p in found)

def wing(name):
    init = ROOT/'sss_nb'/name/'__init__.py'
    sentence = ast.get_docstring(ast.parse(init.read_text())) if init.is_file() else NO_MODULE.get(name, '')
    listed = chapters(f'nbs/{name}/*.ipynb', f'nbs/{name}/*/*.ipynb')
    put(f'wings/{name}.md', f'# {name.capitalize()}\n\n{sentence}\n\n{listed}\n')
    return f'- [{name.capitalize()}](/wings/{name}.md): {sentence}'

def all_wings():
    "A page for each wing, and the list of them."
    return '\n'.join(map(wing, wings())) + '\n\n' + toctree(f'/wings/{name}' for name in wings())

def modules():
    "A page for each module of the package, and the list of them."
    chapter, lines = {exported(read(p)): place(p) for p in notebooks()}, []
    for module, path in docs_api.modules().items():
        put(f'api/{module}.md', docs_api.module_page(module, chapter.get(module)))
        sentence = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
        lines.append(f'- [`{module}`](/api/{module}.md): {docs_api.escaped(sentence)}')
    return '\n'.join(lines) + '\n\n' + toctree(f'/api/{module}' for module in docs_api.modules())

def picture(name, alt): return f'```{{image}} {name}\n:alt: {alt}\n:loading: lazy\n```'

def shown(stem):
    "The pictures that a figure's notebook made."
    title, caption = make_figures.described(NBS/f'figures/{stem}.ipynb')
    return '\n\n'.join(picture(f'/figures/{p.name}', make_figures.alt(p, stem, title, caption))
                       for p in make_figures.pictures(ROOT/'figures', stem) if '_camvid' not in p.stem)

def figure(path):
    "The pictures of a figure notebook, its caption and its numbers."
    title, caption = make_figures.described(path)
    parts = [f'(gallery-{path.stem.replace("_", "-")})=\n## {title}', shown(path.stem), linked(caption, 'nbs/figures')]
    numbers = ROOT/f'figures/{path.stem}.txt'
    if numbers.is_file(): parts.append(f'```text\n{numbers.read_text(encoding="utf-8").rstrip()}\n```')
    number = path.stem.split('_')[0]
    return '\n\n'.join([*parts, f'[The notebook that makes it](/{place(path)}) · `make figures FIG={number}`'])

def gallery():
    known = make_figures.all_notebooks()
    return '\n\n'.join([*map(figure, known), toctree(f'/{place(p)}' for p in known)])

def preset_values():
    "Comments, and {preset: {field: value}} of Params in their order, as written."
    path = docs_api.modules()['sss_nb.params']
    nodes, said, _ = docs_api.definitions(path)
    fields = [n for n in nodes['Params'].body if isinstance(n, ast.AnnAssign)]
    values = {'OFFICIAL': {n.target.id: docs_api.unparsed(n.value) for n in fields}}
    for name in ('PAPER', 'STABLE'):
        changed = {k.arg: docs_api.unparsed(k.value) for k in nodes[name].value.keywords}
        values[name] = values['OFFICIAL'] | changed
    return {n.target.id: said.get(n.end_lineno, '') for n in fields if n.target.id != 'name'}, values

def presets():
    "The parameters that differ between the presets, and their values."
    meaning, values = preset_values()
    order = ('PAPER', 'OFFICIAL', 'STABLE')
    rows = [[docs_api.code(key), docs_api.escaped(told), *(docs_api.code(values[p][key]) for p in order)]
            for key, told in meaning.items() if len({v[key] for v in values.values()}) > 1]
    return docs_api.table(['parameter', 'meaning', *map(docs_api.code, order)], rows)

def cells_with(path, words):
    found = [c for c in read(ROOT/path)['cells'] if c['cell_type'] == 'code' and words in source(c)]
    if len(found) != 1: sys.exit(f'{len(found)} code cells of {path} have {words!r}, and one was expected (docs/*.md)')
    return found[0]['outputs']

def text_of(path, words):
    return ''.join(''.join(o.get('text', '')) for o in cells_with(path, words)).rstrip()

def printed(path, words):
    "What the cell of a notebook that has these words printed, as stored."
    return f'```text\n{text_of(path, words)}\n```'

def drawn(path, words, *alt):
    "The picture that the cell of a notebook that has these words made, as stored."
    [data] = [o['data']['image/png'] for o in cells_with(path, words) if 'image/png' in o.get('data', {})]
    name = f'{Path(path).stem}-{re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")}.png'
    put(f'drawn/{name}', b64decode(''.join(data)))
    return picture(f'/drawn/{name}', ' '.join(alt))

def stage_times(path, words):
    "{size: {stage: (seconds, GB)}} from a table as `time_table` prints it."
    head, *lines = text_of(path, words).splitlines()[1:]
    sizes = {m.end(): f'{m[1].replace("x", " × ")}, {m[2]}' for m in re.finditer(r'(\d+x\d+) +(\w+)', head)}
    times = {size: {} for size in sizes.values()}
    for line in lines:
        for m in re.finditer(r'([\d.]+) s +([\d.]+) GB', line):      # columns end where their headings end
            times[sizes[m.end()]][line.split('  ')[0].strip()] = float(m[1]), float(m[2])
    return times

def times(path, words):
    "Seconds and memory of each size in all, as a table."
    rows = [[size, f'{t["total"][0]:.1f}', f'{t["total"][1]:.2f}'] for size, t in stage_times(path, words).items()]
    return docs_api.table(['pixels, method', 'seconds', 'peak memory, GB'], rows)

COLORS = ('#4477aa', '#66ccee', '#228833', '#ccbb44', '#ee6677', '#aa3377', '#bbbbbb')   # Tol's bright scheme

def bars(path, words, *alt):
    "Stored seconds of the stages, as bars: one a size, the longest stages by colour and the rest in grey."
    stored = stage_times(path, words).items()
    times = {size: {k: s for k, (s, _) in rows.items() if k != 'total'} for size, rows in stored}
    totals = {size: rows['total'][0] for size, rows in stored}
    most = sorted({k for r in times.values() for k in r}, key=lambda k: -sum(r.get(k, 0) for r in times.values()))[:6]
    longest, rows = max(totals.values()), []
    for y, (size, stages) in enumerate(times.items()):
        parts, x = {k: stages.get(k, 0) for k in most}, 190.
        parts['the rest'] = max(totals[size] - sum(parts.values()), 0)
        rows.append(f'<text x="180" y="{28*y + 18}" text-anchor="end">{escape(size)}</text>')
        for color, (name, s) in zip(COLORS, parts.items(), strict=True):
            width = 440*s/longest
            rows.append(f'<rect x="{x:.1f}" y="{28*y + 4}" width="{width:.1f}" height="20" fill="{color}">'
                        f'<title>{escape(name)}: {s:.1f} s</title></rect>')
            x += width
        rows.append(f'<text x="{x + 6:.1f}" y="{28*y + 18}">{totals[size]:.1f} s</text>')
    keys = ''.join(f'<li><span style="background:{c}"></span>{escape(k)}</li>' for c, k in
                   zip(COLORS, [*most, 'the rest'], strict=True))
    label = escape(' '.join(alt), quote=True)
    svg = f'<svg viewBox="0 0 700 {28*len(times) + 4}" role="img" aria-label="{label}">{"".join(rows)}</svg>'
    return f'<figure class="bars" tabindex="0">{svg}<ul>{keys}</ul></figure>'

FILLERS = dict(chapters=chapters, wings=all_wings, modules=modules, figures=gallery, shown=shown, presets=presets,
               printed=printed, drawn=drawn, times=times, bars=bars)

# ---------------------------------------------------------------------------------------------------- main

def fill(m): return FILLERS[m[1]](*shlex.split(m[2]))

def main(folder=None):
    global OUT
    OUT = Path(folder or OUT).resolve()
    os.chdir(ROOT)                                                      # where nbdev reads settings.ini
    names = known_names()
    for path in notebooks(): stage_notebook(path, names)
    for path in (ROOT/'figures').glob('*.png'):
        if not path.stem.endswith('_camvid'): put(place(path), path.read_bytes())   # those may not be passed on
    for path in NBS.glob('*.jpg'): put(place(path), path.read_bytes())              # pictures of the README
    for path, to in PAGES.items():
        text = (ROOT/path).read_text(encoding='utf-8')
        if to.endswith('.md'): put(to, linked(text, posixpath.dirname(path)))
    for path in (ROOT/'docs').glob('*.md'):
        put(path.name, re.sub(r'^<!-- (\w+)(.*?) -->$', fill, path.read_text(encoding='utf-8'), flags=re.M))
    for path in OUT.rglob('*'):
        if path.is_file() and path not in STAGED: path.unlink()             # of notebooks that are no more
    print(f'{len(notebooks())} notebooks and {len(docs_api.modules())} modules are staged')

if __name__ == '__main__': main(*sys.argv[1:2])
