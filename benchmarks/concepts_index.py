"""Time and memory of an index of synthetic reports: its searches, its build.

  python benchmarks/concepts_index.py --ontology hp.obo --reports 1000000
  python benchmarks/concepts_index.py --ontology hp.obo --reports 2000000 \\
      --build --workers 2

Run it from the repository root. Reports have about 11 concepts that are present
and 11 that are absent, drawn from the ontology by Zipf's law (the r-th concept
in proportion to 1 / r), with a side or a degree now and then; their texts are
filled with blanks to 400 characters.

A cold search is the command in a process of its own, imports included, with the
files in the cache of the system; a resident one is `ReportIndex.search` again
in one process. Both are given in seconds, as medians. CPU seconds are what a
search takes on an idle machine, whatever else runs on this one. Memory is the
largest resident set of the process, which includes the pages of the index that
it looked at.

With --build, the command `index` reads a CSV file of reports with nine short
sentences each. Memory is then the sum over its processes, looked at ten times a
second.
"""

import argparse
import csv
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

# Imports the library of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np

from dicejax import concepts
from dicejax.concepts.search import storage
from dicejax.concepts.search.packing import pack_linker
from dicejax.concepts.search.packing import pack_ontology
from dicejax.concepts.search.segment import MENTION
from dicejax.concepts.search.segment import REPORTS
from dicejax.concepts.search.segment import Packer

ROOT = pathlib.Path(__file__).resolve().parents[1]
# `python -m dicejax.concepts`, which says in the end what it took.
COLD = """
import runpy, sys, time
sys.argv[0] = 'dicejax.concepts'
try:
  runpy.run_module('dicejax.concepts', run_name='__main__')
finally:
  peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]
  print(time.process_time(), peak, file=sys.stderr)
"""
MENTIONS = 24  # Of a report; about 22 of its concepts are distinct.
MODIFIERS = [(), ('left',), ('right',), ('small', 'left'), ('chronic',)]
TEXT = ' ' * 400
QUERIES = [
  '17',
  'effusion',
  'small left pleural effusion, no pneumothorax',
  'no pleural effusion',
  'cardiomegaly, scoliosis and edema without pneumonia',
]


def draw(ontology, number, generator):
  """Yields segments of reports."""
  packer, size = Packer(ontology), len(ontology.terms)
  edges = np.cumsum(1 / np.arange(1, size + 1))
  order = generator.permutation(size)
  for first in range(0, number, REPORTS):
    count = min(REPORTS, number - first)
    records = np.zeros(count * MENTIONS, MENTION)
    drawn = generator.random(len(records)) * edges[-1]
    records['concept'] = order[np.searchsorted(edges, drawn)]
    records['end'], records['cue_start'] = 8, -1
    records['polarity'] = 2 * (np.arange(len(records)) % 2)
    odd = generator.random(len(records)) < 0.2
    codes = generator.integers(len(MODIFIERS), size=len(records))
    records['modifiers'] = np.where(odd, codes, 0)
    stops = np.arange(0, len(records) + 1, MENTIONS)
    ids = [str(n) for n in range(first, first + count)]
    yield packer.pack_records(ids, [TEXT] * count, stops, records, MODIFIERS)


def build(path, ontology_path, number) -> None:
  linker = concepts.Linker(
    concepts.read_obo(ontology_path), concepts.read_aliases('chest')
  )
  files = {
    'ontology': pack_ontology(linker.ontology),
    'linker': pack_linker(linker),
  }
  about = {'extractor': 'dicejax.concepts:Linker', 'skipped': {}}
  segments = draw(linker.ontology, number, np.random.default_rng(0))
  storage.write(path, about, files, segments)


SENTENCES = 'There is {}.', 'No {}.', 'Mild {} on the left.', 'Possible {}.'


def write_reports(path, ontology, number) -> None:
  """Writes a CSV file of reports with nine sentences."""
  names = [term.name for term in ontology.terms.values()]
  weights = list(itertools.accumulate(1 / n for n in range(1, len(names) + 1)))
  generator = random.Random(0)
  generator.shuffle(names)
  with open(path, 'w', newline='', encoding='utf-8') as file:
    rows = csv.writer(file)
    rows.writerow(['id', 'text'])
    for n in range(number):
      drawn = generator.choices(names, cum_weights=weights, k=9)
      frames = generator.choices(SENTENCES, k=9)
      text = ' '.join(f.format(x) for f, x in zip(frames, drawn, strict=True))
      rows.writerow([n, text])


def tree_memory(root) -> int:
  """Returns the resident memory of a process and those it started, in kB."""
  parents, sizes = {}, {}
  for path in pathlib.Path('/proc').glob('[0-9]*/status'):
    try:
      fields = dict(
        line.split(':', 1) for line in path.read_text().splitlines()
      )
    except OSError:  # It has ended.
      continue
    pid = int(path.parent.name)
    parents[pid] = int(fields['PPid'])
    sizes[pid] = int(fields.get('VmRSS', '0').split()[0])
  inside = {root}
  while more := {p for p, q in parents.items() if q in inside} - inside:
    inside |= more
  return sum(sizes.get(pid, 0) for pid in inside)


def time_build(directory, args) -> None:
  """Prints the time and memory of the command `index`."""
  reports, path = f'{directory}/reports.csv', f'{directory}/index'
  write_reports(reports, concepts.read_obo(args.ontology), args.reports)
  print(f'{os.path.getsize(reports) / 1e6:,.0f} MB of reports', flush=True)
  began, peak = time.monotonic(), 0
  process = subprocess.Popen(
    [sys.executable, '-m', 'dicejax.concepts', 'index', reports]
    + ['--text-columns=text', f'--ontology={args.ontology}', f'--out={path}']
    + [f'--workers={args.workers}'],
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  while process.poll() is None:
    peak = max(peak, tree_memory(process.pid))
    time.sleep(0.1)
  if process.returncode:
    sys.exit('The command failed.')
  seconds, times = time.monotonic() - began, os.times()
  print(
    f'{args.reports:,} reports in {seconds:.0f} s and '
    f'{times.children_user + times.children_system:.0f} CPU seconds, '
    f'{args.workers} workers, {peak / 1024:.0f} MB of memory'
  )


def measure(path, query) -> tuple[float, float, float]:
  """Searches in a process of its own: its seconds, CPU seconds and MB."""
  began = time.monotonic()
  process = subprocess.run(
    [sys.executable, '-c', COLD, 'search', path, query],
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    check=True,
    text=True,
  )
  cpu, peak = process.stderr.split()[-2:]
  return time.monotonic() - began, float(cpu), int(peak) / 1024


def peak_memory() -> int:
  """Returns the largest resident set of this process, in kB."""
  status = pathlib.Path('/proc/self/status').read_text()
  return int(status.split('VmHWM:')[1].split()[0])


def resident(path, repetitions) -> None:
  """Prints the times of each query in this process."""
  index = concepts.ReportIndex.load(path)
  rows = {}
  for query in QUERIES:
    index.search(query)
    times = []
    for _ in range(repetitions):
      wall, cpu = time.monotonic(), time.process_time()
      index.search(query)
      times.append((time.monotonic() - wall, time.process_time() - cpu))
    rows[query] = np.median(times, axis=0).tolist()
  print(json.dumps({'rows': rows, 'MB': peak_memory() / 1024}))


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--ontology', metavar='OBO')
  parser.add_argument('--reports', type=int, default=1_000_000)
  parser.add_argument('--repetitions', type=int, default=5, help='default 5')
  parser.add_argument('--index', help='made before with --keep')
  parser.add_argument('--keep', help='directory of the index to make and keep')
  parser.add_argument('--build', action='store_true', help='from a CSV file')
  parser.add_argument('--workers', type=int, default=1, help='of --build')
  parser.add_argument('--resident', action='store_true', help=argparse.SUPPRESS)
  args = parser.parse_args()
  if args.resident:
    resident(args.index, args.repetitions)
    return
  with tempfile.TemporaryDirectory() as directory:
    if args.build:
      time_build(directory, args)
      return
    path = args.index or args.keep or f'{directory}/index'
    if not args.index:
      began = time.process_time()
      build(path, args.ontology, args.reports)
      print(f'arrays made in {time.process_time() - began:.1f} CPU seconds')
    size = sum(file.stat().st_size for file in pathlib.Path(path).iterdir())
    print(f'{size / 1e6:,.0f} MB on the disk\n')
    race(path, args.repetitions)


def race(path, repetitions) -> None:
  """Prints the times of cold and resident searches."""
  runs = {query: [] for query in QUERIES}
  for _ in range(repetitions):
    for query in random.sample(QUERIES, len(QUERIES)):
      runs[query].append(measure(path, query))
  again = subprocess.check_output(
    [sys.executable, __file__, '--resident', '--index', path]
    + [f'--repetitions={repetitions}']
  )
  again = json.loads(again)
  print('| query | cold, s | CPU s | MB | resident, ms | CPU ms |')
  print('|---|---|---|---|---|---|')
  for query, found in runs.items():
    *cold, _ = np.median(found, axis=0)
    peak = max(peak for *_, peak in found)
    wall, cpu = (1000 * t for t in again['rows'][query])
    print(
      f'| {query} | {cold[0]:.2f} | {cold[1]:.2f} | {peak:.0f} | {wall:.0f} | '
      f'{cpu:.0f} |'
    )
  print(f'\nmemory of the resident process: {again["MB"]:.0f} MB')


if __name__ == '__main__':
  main()
