r"""Exports a finished run: `python -m train.export --workdir=DIR --out=DIR`.

  python -m train.export --workdir=runs/x --out=exports/x
  python -m train.export --workdir=runs/x --out=exports/x --push=NAME/MODEL

The directory holds the best checkpoint as Hugging Face's libraries have it:
config.json, model.safetensors, the tokenizer, and a README.md with the data,
the scores and the decision. `AutoModelForTokenClassification` of transformers
(or `...ForSequenceClassification`, `...ForQuestionAnswering`) computes the same
logits from it, and `dicejax.load` predicts what `train.predict` does.

`--push` also uploads it to the Hugging Face hub, with the token of `hf auth
login`.
"""

import pathlib

from absl import flags

from train import cli

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Directory of a finished run.', required=True
)
_OUT = flags.DEFINE_string(
  'out', None, 'Directory to create, or an empty one.', required=True
)
_PUSH = flags.DEFINE_string(
  'push', '', 'Name on the Hugging Face hub to upload to, such as ANNA/MODEL.'
)
_PRIVATE = flags.DEFINE_bool('private', False, 'Push to a private repository.')


def main():
  from train import exporting
  from train import inference

  workdir, out = pathlib.Path(_WORKDIR.value), pathlib.Path(_OUT.value)
  exporting.check_empty(out)
  run = inference.load_run(workdir)
  exporting.write(run, workdir, out)
  print(f'{out}: {", ".join(sorted(path.name for path in out.iterdir()))}')
  print(f"In Python: dicejax.load('{out}')")
  if _PUSH.value:
    print(exporting.push(out, _PUSH.value, _PRIVATE.value))


if __name__ == '__main__':
  cli.run(main)
