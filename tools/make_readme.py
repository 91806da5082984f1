#!/usr/bin/env python3
"""Write README.md from nbs/index.ipynb. (nbdev_readme does this with Quarto, which no package registry carries.)

Markdown cells are taken as they are, code cells with the text they print; `#| hide` cells and pictures in outputs are
left out. Links and pictures of the notebook start from nbs/; here they start from the top folder.
"""
import json
import os
import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = '<!-- Made from nbs/index.ipynb by tools/make_readme.py (make prepare): edit the notebook. -->'

def moved(markdown):
    "The links of a cell in nbs/, for a page one folder up."
    def here(m): return m[1] + (m[2] if re.match(r'[a-z]+:|#|/', m[2]) else posixpath.normpath(f'nbs/{m[2]}')) + m[3]
    return re.sub(r'(src=")([^"]+)(")', here, re.sub(r'(\]\()([^)\s]+)([)\s])', here, markdown))

def printed(output):
    "The text of one output, if it has one."
    text = output.get('text') or output.get('data', {}).get('text/plain', '')
    return '' if 'image/png' in output.get('data', {}) else ''.join(text)

def readme(notebook):
    "The Markdown of the notebook, a dict as read from its JSON."
    parts = [MARK]
    for cell in notebook['cells']:
        source = ''.join(cell['source']).strip()
        if re.search(r'^#\| *hide\b', source, re.M): continue
        if cell['cell_type'] == 'markdown': parts.append(moved(source))
        if cell['cell_type'] == 'code':
            source = re.sub(r'^#\|.*\n?', '', source, flags=re.M).strip()
            if source: parts.append(f'```python\n{source}\n```')
            text = ''.join(map(printed, cell['outputs'])).rstrip()
            if text: parts.append('\n'.join('    ' + line for line in text.splitlines()))
    return '\n\n'.join(p for p in parts if p) + '\n'

def main():
    text = readme(json.loads((ROOT/'nbs/index.ipynb').read_text(encoding='utf-8')))
    target, new = ROOT/'README.md', ROOT/'.README.md.new'
    if target.exists() and target.read_text(encoding='utf-8') == text: return
    new.write_text(text, encoding='utf-8')
    os.replace(new, target)
    print('README.md written')

if __name__ == '__main__': sys.exit(main())
