"""Settings of Sphinx for the documentation: `sphinx-build -W docs site`."""

import pathlib
import re

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

import dicejax

ROOT = pathlib.Path(__file__).parents[1]

project = 'dicejax'
author = 'the dicejax authors'
release = dicejax.__version__
extensions = [
  'myst_parser',
  'sphinx.ext.autodoc',
  'sphinx.ext.mathjax',  # A browser loads MathJax from its CDN.
  'sphinx.ext.napoleon',
  'sphinx.ext.viewcode',
]
html_theme = 'furo'
html_title = f'dicejax {release}'
exclude_patterns = ['study']  # The study's measurements.
lexers['tsv'] = TextLexer()  # Pygments knows no tables with tabs.
myst_heading_anchors = 4  # Links to headings work as on GitHub.

autodoc_member_order = 'bysource'
autodoc_type_aliases = {'ArrayLike': 'ArrayLike'}
autodoc_typehints_format = 'short'
napoleon_attr_annotations = False
napoleon_use_ivar = True
napoleon_use_rtype = False
default_role = 'py:obj'  # Single backticks: a link where there is a target.


def read_source(app, docname, source):
  """Makes README.md the start page, and its links lead into the site."""
  if docname == 'index':
    text = (ROOT / 'README.md').read_text('utf-8')
    # Folders are not pages.
    text = re.sub(r'\[(.*?/)\]\([\w/]+\)', r'\1', text)
    text = re.sub(r'\]\((?!https?:|#)', '](../', text)
    text = text.replace('](../CONTRIBUTING.md', '](contributing.md')
    source[0] = text.replace('](../docs/', '](') + source[0]
  source[0] = source[0].replace('](../README.md', '](index.md')


def skip_member(app, what, name, obj, skip, options):
  """Skips the fields of named tuples, which the class describes."""
  return skip or str(obj.__doc__).startswith('Alias for field number')


def shorten(app, what, name, obj, options, signature, returned):
  """Writes aliases of types in unions as their names."""
  if signature:
    signature = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r'\1', signature)
  return signature, returned


def setup(app):
  app.connect('autodoc-process-signature', shorten)
  app.connect('autodoc-skip-member', skip_member)
  app.connect('source-read', read_source)
