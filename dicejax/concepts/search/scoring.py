"""What the scores of a search are made of."""

import dataclasses
from typing import NamedTuple

import numpy as np

from dicejax.concepts.ontology import corpus_information
from dicejax.concepts.ontology import intrinsic_information
from dicejax.concepts.ontology import synonym_components
from dicejax.concepts.ontology import type_weights
from dicejax.concepts.search.compare import split_polarity
from dicejax.concepts.search.index import Index
from dicejax.concepts.search.index import concept_sets
from dicejax.concepts.search.similarity import Asymmetric
from dicejax.concepts.search.similarity import ConceptSets
from dicejax.concepts.search.similarity import Symmetric
from dicejax.concepts.search.similarity import on_grid

MEASURES = {'asymmetric': Asymmetric, 'symmetric': Symmetric}
WEIGHTS = ('corpus', 'uniform', 'intrinsic', 'types')


class Space(NamedTuple):
  """What scores need: the sets of all reports, and what concepts weigh."""

  sets: ConceptSets
  weights: np.ndarray  # [V]
  weight: dict[str, float]  # The same, by concept.
  synonyms: np.ndarray | None  # [V]
  same: dict[str, str] | None  # The same, by concept.
  measure: Asymmetric | Symmetric
  uncertain: str

  @classmethod
  def of(cls, index: Index, arguments) -> 'Space':
    """As the options of `search` and `explain` say."""
    terms, uncertain = list(index.ontology.terms), arguments.uncertain
    weights = on_grid(_weights(index, arguments.weights, uncertain))
    if not weights.any():
      raise ValueError(
        f'--weights={arguments.weights} leaves every concept without weight.'
      )
    place = {id: number for number, id in enumerate(terms)}
    same = synonyms = None
    if index.ontology.equivalents:
      same = synonym_components(index.ontology)
      synonyms = np.array([place[same[id]] for id in terms])
    return cls(
      concept_sets(index.mentions, place, uncertain=uncertain),
      weights,
      dict(zip(terms, weights.tolist(), strict=True)),
      synonyms,
      same,
      _measure(arguments),
      uncertain,
    )


def _weights(index, kind, uncertain) -> list[float]:
  ontology = index.ontology
  if kind == 'uniform':
    return [1.0] * len(ontology.terms)
  if kind == 'intrinsic':
    weights = intrinsic_information(ontology)
  elif kind == 'types':
    weights = type_weights(ontology)
  else:
    weights = corpus_information(
      ontology,
      [split_polarity(m, uncertain=uncertain).positive for m in index.mentions],
    )
  return [weights[id] for id in ontology.terms]


def _measure(arguments) -> Asymmetric | Symmetric:
  if arguments.measure == 'symmetric' and (arguments.alpha or 0) > 1:
    raise ValueError('--alpha is at most 1 in the symmetric measure.')
  given = {'alpha': arguments.alpha, 'beta': arguments.beta}
  given = {name: value for name, value in given.items() if value is not None}
  return dataclasses.replace(MEASURES[arguments.measure](), **given)
