"""All that is to be measured on an accelerator, in one call, into a JSON file.

  python benchmarks/accelerator.py --model=MINILM --peak-tflops=989
  python benchmarks/accelerator.py --miniature

The peak is that of the device in bfloat16 (989 for an H100 or H200). The
benchmarks below run one after another, each in a process of its own and within
its part of `--seconds`. What they print is printed, and their tables go into
the file. What fails or takes too long is in the file with its last lines, and
the others go on. `--miniature` runs what needs no accelerator on tiny inputs:
it shows that everything works, and its figures mean nothing.

- losses.py: value and gradient beside cross entropy and a pass over memory
- finetune.py: BERT base in bfloat16, 128 and 384 tokens, beside torch.compile
- concepts_speed.py: the search for concept sets, dense
"""

import argparse
import json
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


def commands(args):
  """Lists the commands, each with its part of the time."""
  if args.miniature:
    return [
      ('losses.py --classes 2 --elements=64 --repetitions=1 --markdown', 0.5),
      ('concepts_speed.py --reports 300 --repetitions=1', 0.5),
    ]
  finetune = (
    f'finetune.py --device=gpu --model={args.model} --repetitions=5 '
    f'--peak-tflops={args.peak_tflops}'
  )
  return [
    ('losses.py --classes 2 9 50 1000 --markdown', 0.3),
    (f'{finetune} --length=128 --batch-size=128 --steps=20', 0.25),
    (f'{finetune} --length=384 --batch-size=64 --steps=15', 0.25),
    ('concepts_speed.py --reports 20000 200000 --repetitions=5', 0.2),
  ]


def read_tables(lines):
  """Returns the Markdown tables among lines, as lists of rows by column."""
  tables, header = [], None
  for line in lines:
    cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
    if not line.startswith('|'):
      header = None
    elif header is None:
      header = cells
      tables.append([])
    elif any(set(cell) - set('-:') for cell in cells):
      tables[-1].append(dict(zip(header, cells, strict=True)))
  return tables


def run(command, seconds):
  """Runs a benchmark, prints its output, and returns what is to be kept."""
  print(f'\n{command} (at most {seconds:.0f} s)', flush=True)
  start, lines = time.monotonic(), []
  with subprocess.Popen(
    [sys.executable, str(HERE / command.split()[0]), *command.split()[1:]],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  ) as process:
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    for line in process.stdout:
      print(line, end='', flush=True)
      lines.append(line.rstrip())
    code = process.wait()
  in_time = timer.is_alive()  # Once it has fired, it is not.
  timer.cancel()
  return {
    'command': command,
    'seconds': round(time.monotonic() - start, 1),
    'ended': 'killed when its time was over' if not in_time else code,
    'tables': read_tables(lines),
    'output': lines[-100:],
  }


def parse_flags():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add = parser.add_argument
  add('--model', metavar='MINILM', help='its tokenizer; see finetune.py')
  add('--peak-tflops', type=float, help='peak of the device in bfloat16')
  add('--seconds', type=float, default=570, help='of all; default 570')
  add('--out', type=pathlib.Path, default='accelerator.json')
  add('--miniature', action='store_true', help='tiny inputs, on any device')
  args = parser.parse_args()
  if not args.miniature and not (args.model and args.peak_tflops):
    parser.error('--model and --peak-tflops are required, or --miniature.')
  return args


def main():
  args = parse_flags()
  results = []
  for command, part in commands(args):
    results.append(run(command, part * args.seconds))
    args.out.write_text(json.dumps(results, indent=1) + '\n')
  print(f'\n{args.out}')
  if any(result['ended'] != 0 for result in results):
    sys.exit('Not everything ended as it should: see "ended" in the file.')


if __name__ == '__main__':
  main()
