"""Why two reports have their score: their concepts side by side."""

from typing import NamedTuple

from dicejax.concepts.ontology import Ontology
from dicejax.concepts.search.findings import Findings
from dicejax.concepts.search.scorer import Scorer
from dicejax.concepts.search.scorer import format_number
from dicejax.concepts.text.mentions import Experiencer
from dicejax.concepts.text.mentions import Mention
from dicejax.concepts.text.mentions import Time


class Side(NamedTuple):
  """One of two compared reports.

  Attributes:
    name: its id, or the text that was asked for.
    text: its text.
    mentions: what its text mentions, in order.
    findings: the concepts that count.
  """

  name: str
  text: str
  mentions: tuple[Mention, ...]
  findings: Findings

  def words_of(self, concept: str) -> list[str]:
    """Says how the text mentions a concept: `absent "effusion" (no)`."""
    said = (
      _describe(mention, self.text)
      for mention in self.mentions
      if mention.concept == concept
    )
    return list(dict.fromkeys(said))


class ExplainedConcept(NamedTuple):
  """A concept that one of two reports mentions.

  Attributes:
    id: its id.
    name: its name in the ontology.
    weight: what it weighs.
    query: how the query mentions it, such as `absent "effusion" (no)`.
    candidate: how the candidate mentions it.
    counts: how it counts: `'shared'`, `'missing'`, `'extra'`, `'forgiven'`,
      `'contradicting'` or `'shared negative'`; empty if it does not count.
  """

  id: str
  name: str
  weight: float
  query: tuple[str, ...]
  candidate: tuple[str, ...]
  counts: tuple[str, ...]


class Explanation(NamedTuple):
  """Two reports side by side, with the arithmetic of their score.

  Attributes:
    query: the report or the text that is asked for.
    candidate: the report that is compared with it.
    score: similarity of what is present.
    negative_score: similarity of what is absent.
    calculation: the formula of `score` with its numbers.
    concepts: shared ones first, then by weight.
  """

  query: Side
  candidate: Side
  score: float
  negative_score: float
  calculation: str
  concepts: tuple[ExplainedConcept, ...]

  def __str__(self) -> str:
    """A line for each concept, then the scores."""
    lines = [
      f'{concept.name} ({format_number(concept.weight)}): '
      f'{"; ".join(concept.query) or "-"} | '
      f'{"; ".join(concept.candidate) or "-"} | '
      f'{", ".join(concept.counts) or "-"}'
      for concept in self.concepts
    ]
    return '\n'.join([*lines, *self.sums()])

  def sums(self) -> list[str]:
    """The score with its calculation, and the negative score."""
    parts = filter(None, (self.calculation, format_number(self.score)))
    return [
      f'score = {" = ".join(parts)}',
      f'negative score = {format_number(self.negative_score)}',
    ]


def explain_pair(
  query: Side, candidate: Side, ontology: Ontology, scorer: Scorer
) -> Explanation:
  """Explains the score of two reports."""
  comparison = scorer.compare(query.findings, candidate.findings)
  groups = comparison._asdict() | {
    'shared negative': query.findings.absent & candidate.findings.absent
  }
  mentioned = {m.concept for side in (query, candidate) for m in side.mentions}
  concepts = [
    ExplainedConcept(
      id,
      ontology.terms[id].name,
      scorer.weight_by_id[id],
      tuple(query.words_of(id)),
      tuple(candidate.words_of(id)),
      tuple(group for group, ids in groups.items() if id in ids),
    )
    for id in scorer.heaviest_first(mentioned)
  ]
  rank = {group: number for number, group in enumerate(groups)}

  def first_group(concept):
    return min((rank[group] for group in concept.counts), default=len(rank))

  return Explanation(
    query,
    candidate,
    *scorer.score(query.findings, candidate.findings),
    scorer.formula(query.findings, candidate.findings),
    tuple(sorted(concepts, key=first_group)),
  )


def _describe(mention, text) -> str:
  parts = [f'{mention.polarity} "{_one_line(text, mention[1:3])}"']
  if mention.cue:
    parts.append(f'({_one_line(text, mention.cue)})')
  if mention.modifiers:
    parts.append(f'[{", ".join(mention.modifiers)}]')
  if mention.experiencer is not Experiencer.PATIENT:
    parts.append('of another person')
  if mention.time is not Time.CURRENT:
    parts.append(str(mention.time))
  return ' '.join(parts)


def _one_line(text, span) -> str:
  return ' '.join(text[slice(*span)].split())
