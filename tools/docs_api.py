"""The reference of sss_nb as Markdown, read from its source; nothing is imported, so nothing needs to be installed.

The comment beside a parameter tells its shape, unit and source, as nbdev's docments have it; the docstring tells the
errors. tools/stage_docs.py writes the pages.
"""
import ast
import inspect
import io
import re
import tokenize
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

def module_name(path):
    "sss_nb/affinity/color.py is sss_nb.affinity.color."
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts)

@cache
def modules():
    "The exported files, by the names of their modules."
    files = (p for p in sorted((ROOT/'sss_nb').rglob('*.py')) if not p.name.startswith('_'))
    return {module_name(p): p for p in files}

def unparsed(node):
    "A node as source text; ast writes 1e-06 for 1e-6, and quotes around names of classes to come."
    text = re.sub(r'(?<=e-)0(?=\d)', '', ast.unparse(node))
    return text.strip("'") if re.fullmatch(r"'[A-Z]\w+'", text) else text

def comments(source):
    "{line: comment} of Python source."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip('# ').rstrip() for t in tokens if t.type == tokenize.COMMENT}

def public(tree):
    "The names in `__all__`."
    for node in tree.body:
        is_all = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '__all__'
        if is_all: return ast.literal_eval(node.value)
    return []

@cache
def definitions(path):
    "{name: node} of the public functions, classes and constants of a module, in their order; and its comments."
    source = path.read_text(encoding='utf-8')
    tree, found = ast.parse(source), {}
    for node in tree.body:
        names = [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else []
        for t in getattr(node, 'targets', []): names += [n.id for n in ast.walk(t) if isinstance(n, ast.Name)]
        found |= dict.fromkeys(names, node)
    wanted = public(tree)
    return {name: node for name, node in found.items() if name in wanted}, comments(source), ast.get_docstring(tree)

@cache
def borrowed(path):
    "{name: module} of the public names that a module has from others of the package."
    tree, package, found = ast.parse(path.read_text(encoding='utf-8')), module_name(path).split('.')[:-1], {}
    for node in (n for n in tree.body if isinstance(n, ast.ImportFrom)):
        base = package[:len(package) - node.level + 1] if node.level else []
        module = '.'.join([*base, *([node.module] if node.module else [])])
        if module in modules(): found |= {a.asname or a.name: module for a in node.names}
    return {name: found[name] for name in public(tree) if name in found}

# ------------------------------------------------------------------------------------------------ Markdown

def escaped(text):
    "Plain words as Markdown: what is between backticks stays, nothing else means anything."
    parts = re.split(r'(`[^`]+`)', text)
    return ''.join(p if k % 2 else re.sub(r'([\\*_<>\[\]${}#~^])', r'\\\1', p) for k, p in enumerate(parts))

def code(text): return f'`` {text} ``' if '`' in text else f'`{text}`'

def cell(text): return ' '.join(text.split()).replace('|', r'\|')

def table(head, rows):
    "A table of Markdown; rows of strings that are Markdown already."
    lines = [head, ['---']*len(head), *rows]
    return '\n'.join('| ' + ' | '.join(map(cell, line)) + ' |' for line in lines)

def docstring(node):
    "A docstring as Markdown: its paragraphs, and its examples as code."
    parts = re.split(r'\n\s*\n', inspect.cleandoc(ast.get_docstring(node) or ''))
    return '\n\n'.join(f'```pycon\n{p}\n```' if p.startswith('>>>') else escaped(p) for p in parts if p)

# ------------------------------------------------------------------------------------------------ functions

def parameters(function):
    "(name, type, default, line) of each parameter of a function's node, as source text."
    a, stars = function.args, {function.args.vararg: '*', function.args.kwarg: '**'}
    given, (more, most) = [*a.posonlyargs, *a.args], ([(x, None)]*bool(x) for x in (a.vararg, a.kwarg))
    defaults = [None]*(len(given) - len(a.defaults)) + a.defaults
    every = [*zip(given, defaults, strict=True), *more, *zip(a.kwonlyargs, a.kw_defaults, strict=True), *most]
    for arg, default in every:
        kind = unparsed(arg.annotation) if arg.annotation else ''
        yield stars.get(arg, '') + arg.arg, kind, default and unparsed(default), (default or arg).end_lineno

def signature(function, method=False):
    "The name of a function and its parameters; of a method without `self`."
    a, shown = function.args, []
    only = a.kwonlyargs[0].arg if a.kwonlyargs and not a.vararg else None
    for name, _, default, _ in list(parameters(function))[method:]:
        if name == only: shown.append('*')
        shown.append(name if default is None else f'{name}={default}')
    line = f"{function.name}({', '.join(shown)})"
    if len(line) <= 90: return line
    return f'{function.name}(\n    ' + ',\n    '.join(shown).replace('*,\n    ', '*, ') + ')'

def parameter_table(function, said, method=False):
    "What a function takes and returns: names, types and defaults, and the comments beside them."
    rows, lines = [], [line for *_, line in parameters(function)]
    for name, kind, default, line in list(parameters(function))[method:]:
        told = said.get(line, '') if lines.count(line) == 1 and line != closing(function) else ''
        given = '' if default is None else code(default)
        rows.append([code(name) + (f' {code(kind)}' if kind else ''), given, escaped(told)])
    if function.returns:
        rows.append([f'*returns* {code(unparsed(function.returns))}', '', escaped(said.get(closing(function), ''))])
    return table(['parameter', 'default', 'meaning'], rows) if rows else ''

def closing(function):
    "The line on which the heading of a function ends."
    return function.returns.end_lineno if function.returns else 0

def decorated(node): return {ast.unparse(d).split('(')[0] for d in node.decorator_list}

def function_text(node, said, method=False):
    parts = [f'```python\n{signature(node, method)}\n```', docstring(node), parameter_table(node, said, method)]
    return '\n\n'.join(p for p in parts if p)

# ------------------------------------------------------------------------------------- classes, constants

def field_table(node, said):
    "The fields of a dataclass, with the comments beside them."
    rows = [[f'{code(n.target.id)} {code(unparsed(n.annotation))}', code(unparsed(n.value)) if n.value else '',
             escaped(said.get(n.end_lineno, ''))] for n in node.body if isinstance(n, ast.AnnAssign)]
    return table(['field', 'default', 'meaning'], rows) if rows else ''

def class_text(node, said):
    "A class: its fields, what it is made with, its properties and methods."
    parts = [docstring(node), field_table(node, said)]
    for f in (n for n in node.body if isinstance(n, ast.FunctionDef)):
        if f.name == '__init__': parts.append(function_text(f, said, True).replace('__init__(', f'{node.name}('))
        if f.name.startswith('_'): continue
        parts.append(f'**{code(node.name + "." + f.name)}**')
        if 'property' in decorated(f): parts += [docstring(f), escaped(said.get(closing(f), ''))]
        else: parts.append(function_text(f, said, 'staticmethod' not in decorated(f)))
    return '\n\n'.join(p for p in parts if p)

def constant_text(node, said):
    "A constant: its value as written, where that is short, and the comment beside it."
    value = ast.unparse(node)
    if len(value) > 400: value = f'{ast.unparse(node.targets[0])} = ...'
    return f'```python\n{value}\n```\n\n{escaped(said.get(node.end_lineno, ""))}'.strip()

def label(module, name):
    "Where the entry of a name is linked to: small letters only, but `PEERS`, `Peers` and `peers` have three places."
    kind = '-constant' if name.isupper() else '-class' if name[0].isupper() else ''
    return f'api-{module}.{name}'.lower().replace('_', '-') + kind

def entry(module, name, node, said):
    "The part of a module's page about one public name."
    kinds = {ast.FunctionDef: function_text, ast.ClassDef: class_text}
    return f'({label(module, name)})=\n## {code(name)}\n\n{kinds.get(type(node), constant_text)(node, said)}'

def module_page(module, chapter=None):
    "The reference of one module as Markdown; `chapter` is the notebook that explains it, from the top of the site."
    nodes, said, sentence = definitions(modules()[module])
    order = {ast.FunctionDef: 1, ast.ClassDef: 0}
    ordered = sorted(nodes.items(), key=lambda x: order.get(type(x[1]), 2))
    where = f'\n\nExplained, tested and exported by [its chapter](/{chapter}).' if chapter else ''
    others = [f'[{code(n)}](project:#{label(m, n)})' for n, m in borrowed(modules()[module]).items()]
    if others: where += f'\n\nAlso here, from other modules: {", ".join(others)}.'
    entries = [entry(module, name, node, said) for name, node in ordered]
    return '\n\n'.join([f'# {code(module)}', f'{escaped(sentence or "")}{where}', *entries]) + '\n'
