"""Writes a run as a directory of Hugging Face's form, and uploads it."""

import json
import pathlib
from collections.abc import Sequence

import tokenizers

from dicejax.models import save_finetuned
from dicejax.text.runs import describe
from dicejax.text.tokenizer import cls_place
from dicejax.text.tokenizer import load_tokenizer
from dicejax.text.tokenizer import mark_words
from train import model_card
from train.inference import TrainedRun

TASKS = 'tagging', 'classification', 'multi_label', 'span_qa'
_SPECIAL = {  # Names in transformers -> tokens of BERT, XLNet and RoBERTa.
  'unk_token': ('[UNK]', '<unk>'),
  'cls_token': ('[CLS]', '<cls>', '<s>'),
  'sep_token': ('[SEP]', '<sep>', '</s>'),
  'pad_token': ('[PAD]', '<pad>'),
  'mask_token': ('[MASK]', '<mask>'),
}


def command(workdir: pathlib.Path, names: Sequence[str]) -> str:
  """Returns the command that exports a run.

  Args:
    workdir: the directory of the run, or of several.
    names: the names of several runs, any of which may be exported.
  """
  one = workdir / names[0] if names else workdir
  out = pathlib.Path('exports', '-'.join(one.parts[-2:]).removeprefix('runs-'))
  other = f' (or {", ".join(names[1:])})' if names[1:] else ''
  return f'python -m train.export --workdir={one} --out={out}{other}'


def check_empty(out: pathlib.Path) -> None:
  """Raises FileExistsError unless a directory is new or empty."""
  if out.exists() and (not out.is_dir() or any(out.iterdir())):
    raise FileExistsError(
      f'--out={out} is not empty: expected a new directory.'
    )


def write(run: TrainedRun, workdir: pathlib.Path, out: pathlib.Path) -> None:
  """Writes the best checkpoint of a run, its tokenizer and a model card.

  Raises:
    ValueError: the task has a head that transformers has no class for.
  """
  config = run.config
  if config.task not in TASKS:
    raise ValueError(
      f'A run of {config.task!r} is not exported, because transformers has no '
      f'class for its head: expected one of {", ".join(TASKS)}.'
    )
  labels = tuple(run.task.labels)
  own = describe(config.to_dict(), run.tuned)
  out.mkdir(parents=True, exist_ok=True)
  several = config.task == 'multi_label'
  save_finetuned(out, run.model, run.params, labels, own, several=several)
  tokenizer = load_tokenizer(workdir)
  if config.task == 'tagging':
    mark_words(tokenizer)
  _write_tokenizer(tokenizer, run, out)
  card = model_card.make(run, workdir, out.name)
  (out / 'README.md').write_text(card, encoding='utf-8')
  if not model_card.is_theirs(run):
    print(
      f'{out} is for dicejax alone: transformers has no class for a classifier '
      f'with model.pooling={run.model.pooling!r}.'
    )


def _write_tokenizer(tokenizer: tokenizers.Tokenizer, run, out) -> None:
  (out / 'tokenizer.json').write_text(
    tokenizer.to_str(pretty=True), encoding='utf-8'
  )
  inputs = ['input_ids', 'attention_mask']
  if run.model.config.type_vocab_size > 1:
    inputs.insert(1, 'token_type_ids')
  settings = {
    # This class takes tokenizer.json as it is.
    'tokenizer_class': 'PreTrainedTokenizerFast',
    'model_max_length': run.config.max_length,
    'model_input_names': inputs,
    'clean_up_tokenization_spaces': False,
  }
  for name, tokens in _SPECIAL.items():
    # XLNet's vocabulary has tokens of RoBERTa that it does not use.
    for token in tokens:
      if tokenizer.token_to_id(token) is not None:
        settings.setdefault(name, token)
  if cls_place(tokenizer):
    # Classes of transformers look for [CLS] at the end of a padded row.
    settings['padding_side'] = 'left'
  (out / 'tokenizer_config.json').write_text(
    json.dumps(settings, indent=2, ensure_ascii=False) + '\n', encoding='utf-8'
  )


def push(out: pathlib.Path, name: str, private: bool) -> str:
  """Uploads a directory to the Hugging Face hub; returns its address.

  Raises:
    OSError: the hub cannot be reached or refuses; the directory stays.
  """
  import huggingface_hub

  hub = huggingface_hub.HfApi()
  try:
    hub.create_repo(name, private=private, exist_ok=True)
    return str(hub.upload_folder(repo_id=name, folder_path=out))
  # The network, the hub and the file system raise errors of many classes.
  except Exception as error:
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip('. ')
    raise OSError(
      f'--push={name}: {reason}. {out} is whole: `hf upload {name} {out}` '
      'uploads it later, after `hf auth login`.'
    ) from error
