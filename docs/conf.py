"""Sphinx for the site: `make docs` stages sources in _proc/source and builds _docs. No page asks a network."""
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
project = 'sss_nb'
author = 'The sss_nb developers'
copyright = '2026 onwards, The sss_nb developers'
release = version = re.search(r'^version = (.+)$', (HERE.parent/'settings.ini').read_text(), re.M)[1]

extensions = ['myst_nb', 'sphinx.ext.mathjax']
myst_enable_extensions = ['dollarmath', 'amsmath', 'attrs_block', 'attrs_inline']
myst_heading_anchors = 4
myst_links_external_new_tab = False
nb_execution_mode = 'off'                         # outputs are those stored in git
nb_merge_streams = True
nb_ipywidgets_js = {}                             # no widget is shown, and require.js would come from a network
nb_number_source_lines = False
smartquotes = False                               # words are as they were written
nitpicky = True
templates_path, exclude_patterns = [], []
pygments_style = 'a11y-high-contrast-light'

html_theme = 'pydata_sphinx_theme'
html_title = 'sss_nb'
html_static_path = ['_static', '../_proc/static']  # the second: MathJax
html_favicon = '_static/layers.svg'
html_css_files = ['site.css']
html_js_files = [('site.js', {'defer': 'defer'})]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_last_updated_fmt = None
html_context = {'default_mode': 'auto'}
html_sidebars = {'index': [], 'paper_and_program': [], 'figures': []}
html_theme_options = {
    'logo': {'text': 'sss_nb'},
    'header_links_before_dropdown': 8,
    'navbar_align': 'left',
    'show_toc_level': 2,
    'navigation_with_keys': False,
    'secondary_sidebar_items': {'**': ['page-toc'], 'index': []},
    'footer_start': ['copyright'],
    'footer_end': [],
    'pygments_light_style': 'a11y-high-contrast-light',
    'pygments_dark_style': 'a11y-high-contrast-dark',
    'back_to_top_button': False,
}

mathjax_path = 'mathjax/tex-svg-full.js'          # MathJax 3 with its fonts inside, in one file
mathjax_options = {'defer': 'defer'}
