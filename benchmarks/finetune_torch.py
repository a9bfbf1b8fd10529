"""The side of PyTorch in benchmarks/finetune.py: a plain training loop."""

import torch
import transformers
from finetune_inputs import DROPOUT
from finetune_inputs import Inputs
from finetune_inputs import cores
from finetune_inputs import resident
from torch.nn import functional
from transformers.trainer_pt_utils import get_length_grouped_indices

MEGABATCH = 50  # Batches that are sorted by length together, as in dicejax.


class TorchSide:
  """A model of transformers: see `finetune.Side` for the methods."""

  def __init__(self, args, directory, inputs: Inputs, *, grouped: bool):
    torch.set_num_threads(cores())
    torch.manual_seed(args.seed)
    self._args, self._inputs, self._grouped = args, inputs, grouped
    self._gpu = args.device == 'gpu'
    self._device = 'cuda' if self._gpu else 'cpu'
    self._model = self._load_model(directory).to(self._device)
    self._forward = torch.compile(self._model) if self._gpu else self._model
    self._optimizer = self._make_optimizer()
    steps = (args.repetitions + 1) * args.steps
    self._schedule = transformers.get_linear_schedule_with_warmup(
      self._optimizer, round(inputs.optimizer['warmup'] * steps), steps
    )

  @torch.no_grad
  def loss(self):
    self._model.eval()
    batch = self._collate(self._inputs.features[: self._args.batch_size])
    value = self._loss(batch, 'train')
    self._model.train()
    return value.item()

  def batches(self, epoch):
    features, size = self._inputs.features, self._args.batch_size
    lengths = [len(feature['tokens']) for feature in features]
    generator = torch.Generator().manual_seed(self._args.seed + epoch)
    if self._grouped:
      order = get_length_grouped_indices(lengths, size, MEGABATCH, generator)
    else:
      order = torch.randperm(len(lengths), generator=generator).tolist()
    return torch.utils.data.DataLoader(
      features, size, sampler=order, collate_fn=self._collate
    )

  def step(self, batch, kind):
    self._loss(batch, kind).backward()
    torch.nn.utils.clip_grad_norm_(
      self._model.parameters(), self._inputs.optimizer['clip_norm']
    )
    self._optimizer.step()
    self._schedule.step()
    self._optimizer.zero_grad()

  def wait(self):
    if self._gpu:
      torch.cuda.synchronize()

  def compile(self):
    return 0.0

  def memory(self):
    return torch.cuda.max_memory_allocated() if self._gpu else resident()

  def _load_model(self, directory):
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    squad, kernel = self._args.squad, self._inputs.kernel
    kind = (
      transformers.BertForQuestionAnswering
      if squad
      else transformers.BertForTokenClassification
    )
    model = kind.from_pretrained(
      directory,
      num_labels=kernel.shape[1],
      hidden_dropout_prob=DROPOUT,
      attention_probs_dropout_prob=0.0,  # dicejax has none.
      attn_implementation='sdpa',
    )
    head = model.qa_outputs if squad else model.classifier
    with torch.no_grad():
      head.weight.copy_(torch.from_numpy(kernel.T))
      head.bias.zero_()
    return model

  def _make_optimizer(self):
    config = self._inputs.optimizer
    parameters = list(self._model.parameters())
    matrices = {'params': [p for p in parameters if p.ndim > 1]}
    vectors = {
      'params': [p for p in parameters if p.ndim == 1],
      'weight_decay': 0.0,
    }
    return torch.optim.AdamW(
      [matrices, vectors],
      lr=config['learning_rate'],
      eps=config['eps'],
      weight_decay=config['weight_decay'],
      fused=True,
    )

  def _collate(self, rows):
    batch = {
      name: torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(row[name]).long() for row in rows],
        batch_first=True,
        padding_value=value,
      )
      for name, value in self._inputs.fill.items()
    }
    lengths = torch.tensor([len(row['tokens']) for row in rows])
    columns = torch.arange(batch['tokens'].shape[1])
    return batch | {'mask': (columns < lengths[:, None]).long()}

  def _loss(self, batch, kind):
    batch = {name: x.to(self._device) for name, x in batch.items()}
    with torch.autocast(self._device, torch.bfloat16, enabled=self._gpu):
      outputs = self._forward(
        batch['tokens'], batch['mask'], batch.get('segments')
      )
    if self._args.squad:
      logits = outputs.start_logits.float(), outputs.end_logits.float()
    else:
      logits = (outputs.logits.float(),)
    if kind == 'mean':
      return sum(x.mean() for x in logits) / len(logits)
    return (_answer_loss if self._args.squad else _tag_loss)(logits, batch)


def _tag_loss(logits, batch):
  return functional.cross_entropy(
    logits[0].flatten(0, 1), batch['labels'].flatten(), ignore_index=-1
  )


def _answer_loss(logits, batch):
  start, end = (
    functional.cross_entropy(
      x.masked_fill(batch['allowed'] == 0, -1e9), batch[name].argmax(1)
    )
    for x, name in zip(logits, ('starts', 'ends'), strict=True)
  )
  return (start + end) / 2
