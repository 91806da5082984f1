#!/usr/bin/env python3
"""Run the figure notebooks and write the gallery.

nbs/figures/fig*.ipynb -> figures/*.png (and *.txt, tables), figures/index.html.

    tools/make_figures.py                 all of them, the quick and beautiful first
    tools/make_figures.py fig04 fig06     these
    tools/make_figures.py --inplace       ... and store the outputs in the notebooks (`make render`)
    tools/make_figures.py --size small    small pictures, as the tests make them

Each notebook runs in a kernel of its own. Its pictures go to a folder of their own and are moved to figures/ when
the whole notebook has run, so a figure is new or as it was, never half; then the page is written again.
SSS_NB_FIGURES names another folder.
"""
import argparse
import html
import json
import os
import posixpath
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT/'nbs/figures'

# ---------------------------------------------------------------------------------------------- notebooks

def all_notebooks(): return sorted(p for p in SOURCES.glob('fig*.ipynb'))

FIRST, LAST = ('fig01', 'fig14', 'fig02', 'fig06'), ('fig04',)     # fig04 takes 7 minutes on two cores

def turn(path):
    "When a notebook's turn is: what shows the most soonest, then the paper's order, then what takes longest."
    number = path.stem.split('_')[0]
    return FIRST.index(number) if number in FIRST else len(FIRST) + (number in LAST)

def choose(names):
    "The notebooks whose name begins with one of `names`, in the order they are made; all of them without names."
    known = all_notebooks()
    there_are = ', '.join(p.stem for p in known) or 'none'
    for name in names:
        if not any(p.stem.startswith(name) for p in known):
            sys.exit(f'no figure notebook begins with {name!r}; there are: {there_are}')
    return sorted((p for p in known if not names or p.stem.startswith(tuple(names))), key=turn)

def clock(seconds): return f'{seconds:.0f} s' if seconds < 60 else f'{seconds//60:.0f} min {seconds%60:02.0f} s'

def run(path, env, status):
    "Execute the notebook `path` in its folder and return it with its outputs; `status` is told each cell."
    import nbformat
    from nbclient import NotebookClient
    nb = nbformat.read(path, as_version=4)
    client = NotebookClient(nb, timeout=None, kernel_name='python3', shutdown_kernel='immediate',
                            extra_arguments=['--log-level=ERROR'], resources={'metadata': {'path': str(path.parent)}})
    client.reset_execution_trackers()
    code = [i for i, c in enumerate(nb.cells) if c.cell_type == 'code' and c.source.strip()]
    with client.setup_kernel(env=env):
        for done, i in enumerate(code):
            status(f'cell {done + 1} of {len(code)}')
            client.execute_cell(nb.cells[i], i)
        client.set_widgets_metadata()
    return nb

def store(nb, path, workplace):
    "Write `nb`, cleaned as nbdev_clean does, in place of `path`."
    import nbformat
    new = workplace/path.name
    nbformat.write(nb, new)
    subprocess.run([Path(sys.executable).parent/'nbdev_clean', '--fname', new], cwd=ROOT, check=True)
    os.replace(new, path)

def printed(nb):
    "What the cells of `nb` that begin with `#| table` printed."
    tables = (''.join(o.text for o in c.outputs if o.output_type == 'stream' and o.name == 'stdout')
              for c in nb.cells if c.cell_type == 'code' and c.source.startswith('#| table'))
    return '\n\n'.join(t.rstrip() for t in tables if t.strip())

def reason(error):
    "The end of a notebook's traceback, without colours."
    from nbclient.exceptions import CellExecutionError, DeadKernelError
    if isinstance(error, DeadKernelError): return 'The kernel died. Most often the memory was not enough.'
    if not isinstance(error, CellExecutionError): return f'{type(error).__name__}: {error}'
    text = re.sub(r'\x1b\[[0-9;]*m', '', error.traceback)
    return '\n'.join(text.rstrip().splitlines()[-25:])

# ------------------------------------------------------------------------------------------------- gallery

TEX = dict(alpha='α', beta='β', gamma='γ', delta='δ', epsilon='ε', lambda_='λ', mu='μ', sigma='σ', Sigma='Σ', nabla='∇',
           times='×', le='≤', ge='≥', approx='≈', infty='∞', cdot='·', pm='±', to='→', top='ᵀ', ell='ℓ', sum='Σ')

def tex(formula):
    "A short formula as HTML: Greek letters, sub- and superscripts. The page has no script, so no MathJax."
    s = re.sub(r'\\(?:mathrm|text|mathbf|operatorname)\{(.*?)\}', r'\1', formula)
    s = re.sub(r'\\([A-Za-z]+) ?', lambda m: TEX.get(m[1], TEX.get(m[1] + '_', m[1])), s)
    s = re.sub(r'_(?:\{(.*?)\}|(\w))', lambda m: f'<sub>{m[1] or m[2]}</sub>', s)
    s = re.sub(r'\^(?:\{(.*?)\}|(\S))', lambda m: f'<sup>{m[1] or m[2]}</sup>', s)
    return f'<i>{s.replace("{", "").replace("}", "")}</i>'

def inline(markdown, base):
    "The Markdown that captions use - code, formulas, bold, italic, links - as HTML; links start from `base`."
    kept = []

    def keep(s):
        kept.append(s)
        return f'\x00{len(kept) - 1}\x00'

    def link(m):
        to = m[2] if re.match(r'[a-z]+:|#|/', m[2]) else posixpath.normpath(f'{base}/{m[2]}')
        return keep(f'<a href="{to}">') + m[1] + keep('</a>')

    s = html.escape(markdown, quote=False)
    s = re.sub(r'`([^`]+)`', lambda m: keep(f'<code>{m[1]}</code>'), s)
    s = re.sub(r'\$([^$]+)\$', lambda m: keep(tex(m[1])), s)
    s = re.sub(r'\[([^\]]+)\]\(([^)\s]+)\)', link, s)
    s = re.sub(r'\*\*(\S(?:.*?\S)?)\*\*', r'<b>\1</b>', s, flags=re.S)
    s = re.sub(r'(?<!\w)[*_](\S(?:.*?\S)?)[*_](?!\w)', r'<i>\1</i>', s, flags=re.S)
    while '\x00' in s: s = re.sub('\x00(\\d+)\x00', lambda m: kept[int(m[1])], s)
    return s

def plain(markdown):
    "The words of `markdown` only, for alt texts and the contents."
    return re.sub(r'\s+', ' ', html.unescape(re.sub(r'<[^>]+>', '', inline(markdown, '')))).strip()

def described(path):
    "Title and caption of a figure notebook: its first heading, and the cell that begins with **Caption.**"
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    texts = [''.join(c['source']).strip() for c in cells if c['cell_type'] == 'markdown']
    title = next((m[1] for t in texts if (m := re.search(r'^# +(.+)$', t, re.M))), path.stem)
    caption = next((t.removeprefix('**Caption.**').strip() for t in texts if t.startswith('**Caption.**')), '')
    return title.strip(), caption

def pictures(folder, stem):
    "The pictures of the notebook `stem`: stem.png, and stem_more.png where it makes several."
    return [*folder.glob(f'{stem}.png'), *sorted(p for p in folder.glob(f'{stem}[_-]*.png'))]

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sss_nb: figures</title>
<style>
  body {{ max-width: 60rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; color: #222; background: #fff;
         font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }}
  h1 {{ margin-bottom: .2rem }}  h2 {{ margin: 0 0 .6rem; font-size: 1.25rem }}
  a {{ color: #06c }}
  nav {{ display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 1rem 0 0 }}
  @media (max-width: 480px) {{ nav {{ flex-direction: column; gap: .35rem }} }}
  section {{ margin-top: 2.6rem; padding-top: 1.6rem; border-top: 1px solid #ddd }}
  figure {{ margin: 0 0 1rem }}  img {{ max-width: 100%; height: auto; border-radius: 3px }}
  p {{ margin: .5rem 0 }}  code {{ background: #f3f3f3; padding: 0 .2em; border-radius: 3px }}
  pre {{ margin: 1rem 0; padding: .6rem .8rem; overflow-x: auto; background: #f3f3f3; border-radius: 3px;
        font-size: .8rem; line-height: 1.35 }}
  .quiet {{ color: #666; font-size: .9rem }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #1b1b1b }}  a {{ color: #6bf }}
    section {{ border-color: #444 }}  code, pre {{ background: #2c2c2c }}  img {{ background: #fff }}
    .quiet {{ color: #aaa }} }}
</style>
</head>
<body>
<h1>Figures</h1>
<p>Semantic soft segmentation, figure by figure. Each was made by the notebook that it links to;
<code>make figures</code> makes them again, <code>make figures FIG=fig04</code> one of them.</p>
<nav>
{contents}
</nav>
{sections}
</body>
</html>
'''

FIGURE = '<figure><a href="{file}"><img src="{file}" loading="lazy" alt="{alt}"></a></figure>'

SECTION = '''<section id="{stem}">
<h2>{title}</h2>
{figures}
{text}
<p class="quiet"><a href="{base}/{name}">{name}</a></p>
</section>'''

def section(path, folder, base):
    "The part of the gallery about one notebook: its pictures, caption and tables; links start from `base`."
    title, caption = described(path)
    shown = [FIGURE.format(file=p.name, alt=html.escape(alt(p, path.stem, title, caption)))
             for p in pictures(folder, path.stem)]
    number = path.stem.split('_')[0]
    figures = '\n'.join(shown) or f'<p class="quiet">Not made yet: <code>make figures FIG={number}</code></p>'
    text = '\n'.join(f'<p>{inline(t, base)}</p>' for t in re.split(r'\n\s*\n', caption) if t.strip())
    table = folder/f'{path.stem}.txt'
    if table.is_file():
        text += f'\n<pre>{html.escape(table.read_text(encoding="utf-8").rstrip(), quote=False)}</pre>'
    return SECTION.format(stem=path.stem, title=inline(title, base), figures=figures, text=text, base=base,
                          name=path.name)

def gallery(folder):
    "Write folder/index.html from the notebooks and the pictures that are there; return the number of pictures."
    base = Path(os.path.relpath(SOURCES, folder)).as_posix()
    known = all_notebooks()
    contents = [f'<a href="#{p.stem}">{html.escape(plain(described(p)[0]))}</a>' for p in known]
    sections = [section(p, folder, base) for p in known]
    new = folder/'.index.html.new'
    new.write_text(PAGE.format(contents='\n'.join(contents), sections='\n'.join(sections)), encoding='utf-8')
    os.replace(new, folder/'index.html')
    return sum(len(pictures(folder, p.stem)) for p in known)

def alt(picture, stem, title, caption):
    "What a reader who does not see the picture is told: the title, which of several, and the caption's first sentence."
    which = picture.stem.removeprefix(stem).strip('_-').replace('_', ' ')
    first = re.split(r'(?<=[.!?]) (?=[A-Z])', plain(caption))[0]
    return '. '.join(s.rstrip('.') for s in (plain(title), which, first) if s)

# ---------------------------------------------------------------------------------------------------- main

def stop(number, frame): raise KeyboardInterrupt

def arguments(args):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('figures', nargs='*', help='fig04, or the whole stem; all of them without')
    parser.add_argument('--inplace', action='store_true', help='store the outputs in the notebooks')
    parser.add_argument('--size', choices=['full', 'small'], default=os.environ.get('SSS_NB_FIGURE_SIZE', 'full'))
    return parser.parse_args(args)

def make(path, folder, args, status):
    "Run one notebook, move what it made to `folder`, and return the names of its pictures."
    with tempfile.TemporaryDirectory(prefix='.making-', dir=folder) as workplace:
        made = Path(workplace)/'pictures'
        made.mkdir()
        env = os.environ | dict(SSS_NB_FIGURES=str(made), SSS_NB_FIGURE_SIZE=args.size)
        nb = run(path, env, status)
        table = printed(nb)
        if table: (made/f'{path.stem}.txt').write_text(table + '\n', encoding='utf-8')
        if args.inplace: store(nb, path, Path(workplace))
        files = sorted(made.iterdir())
        for f in files: os.replace(f, folder/f.name)
    return [f.name for f in files if f.suffix == '.png']

def make_all(chosen, folder, args):
    "Make the chosen figures, a line for each; return the names of those that failed."
    width = max(len(p.stem) for p in chosen)
    terminal = sys.stdout.isatty()
    failed = []
    for k, path in enumerate(chosen, 1):
        label, began = f'[{k}/{len(chosen)}] {path.stem:{width}}', time.time()

        def status(what, label=label, began=began):
            line = f'\r\033[K{label}  {clock(time.time() - began)}, {what}'
            if terminal: print(line, end='', flush=True)

        try:
            status('starting')
            names = make(path, folder, args, status)
            gallery(folder)
            outcome = f"{clock(time.time() - began):>12}   {', '.join(names) or 'made no picture'}"
        except Exception as error:
            failed.append(path.stem)
            outcome = f'FAILED after {clock(time.time() - began)}\n\n{reason(error)}\n'
        print('\r\033[K'*terminal + f'{label}  {outcome}', flush=True)
    return failed

def main(args=None):
    args = arguments(args)
    for s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, stop)
    chosen, began = choose(args.figures), time.time()
    if not chosen: sys.exit(f'there is no fig*.ipynb in {SOURCES}')
    folder = Path(os.environ.get('SSS_NB_FIGURES') or ROOT/'figures').resolve()
    folder.mkdir(parents=True, exist_ok=True)
    page = folder/'index.html'
    for left in folder.glob('.making-*'): shutil.rmtree(left)  # of a run that was killed
    print(f"{len(chosen)} figure{'s'*(len(chosen) > 1)}, to {folder}; {page.name} shows each when made", flush=True)
    try:
        failed = make_all(chosen, folder, args)
        count = gallery(folder)
    except KeyboardInterrupt:
        print(f'\nInterrupted; what was finished before is in {folder}, the rest is as it was.', flush=True)
        return 130
    print(f"{count} picture{'s'*(count > 1)} in {page}" if count else f'no picture has been made; {page} says so')
    print(f'{len(chosen) - len(failed)} of {len(chosen)} made in {clock(time.time() - began)}'
          + f"; failed: {', '.join(failed)}"*bool(failed))
    return 1 if failed else 0

if __name__ == '__main__': sys.exit(main())
