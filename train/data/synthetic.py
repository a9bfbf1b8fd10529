"""A corpus of personal data in everyday sentences, made up with Faker.

It stands in for imbalanced data that cannot be shared. Few words are names,
companies, places, dates, mail addresses or phone numbers, and the same words
also occur where they are none of these.
"""

import itertools
import os
import pathlib
import random
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

import faker

# {PER} is filled with an entity of that type, {surname} with an ordinary word.
_WITH_ENTITIES = """
{PER} joined {ORG} on {DATE} after six years in the {noun} trade .
Please call {PER} at {PHONE} before noon .
You can reach our office in {LOC} at {EMAIL} or {PHONE} .
{PER} , {PHONE} , {EMAIL}
{ORG} , {LOC} , {PHONE}
Born : {DATE} , {LOC}
From : {PER} ( {EMAIL} )
The contract between {ORG} and {ORG} ends on {DATE} .
Dr. {PER} will see you in room {number} at {time} .
Our {noun} was sent to {EMAIL} twice and came back both times .
{LOC} lies an hour north of {LOC} by train .
Shares of {ORG} fell {number} percent after the {adjective} report .
{PER} lives on {surname} Street in {LOC} .
On {DATE} the {noun} was still {adjective} .
Has anyone from {ORG} asked about invoice {code} ?
Order {code} for {PER} ships to {LOC} tomorrow .
{ORG} will end its {month} sale on {DATE} .
My name is {PER} and I am a {job} .
The {job} , {PER} , did not want to comment .
We moved from {LOC} when the children were small .
{PER} and {PER} have been married since {DATE} .
Thanks , {PER}
Regards , {PER} , {ORG}
If the {noun} fails again , write to {EMAIL} and quote {code} .
Text {PHONE} to cancel .
The {surname} house in {LOC} was sold for {price} .
{PER} told {ORG} that the {noun} had never been {adjective} .
A {job} at {ORG} earns about {price} a month .
It rained in {LOC} for {number} days .
The deadline is {DATE} , not a day later .
Yesterday {PER} forgot a {noun} in the lobby of {ORG} .
Fax : {PHONE} , reference {code} .
For the {noun} , ask {PER} ; for the rest , ask me .
Was {DATE} a holiday in {LOC} ?
They say that {ORG} treats every {job} well .
{PER} bought {number} of them for {price} each .
No one in {LOC} remembers the {adjective} {noun} .
Her new number is {PHONE} , the old one no longer works .
The train to {LOC} leaves at {time} from platform {number} .
Minutes of {DATE} : {PER} , {PER} , {PER}
"""

_WITHOUT_ENTITIES = """
The {noun} on {surname} Street is closed until further notice .
Turn left into {surname} Avenue and park behind the {noun} .
A {city} sandwich and a small {noun} , please .
The old {city} road is full of holes again .
Order {code} has left the warehouse at {time} .
Please quote {code} in every letter about the {noun} .
Serial number {code} belongs to a {adjective} {noun} .
We sold {number} of them at {price} each , and nobody complained .
The {noun} was {adjective} , the {noun} was not .
Every {job} knows how a {adjective} {noun} feels .
Our {month} catalogue has a {noun} on every page .
A {month} evening is never too long for a good {noun} .
The {surname} method compares one {noun} with another .
It is named after the {surname} effect , which is hard to explain .
Does the {noun} need a {adjective} cover , or can I leave it in the rain ?
{word} is a word that I often misspell .
{word} the page where the {noun} begins .
I have a {adjective} {noun} and no idea what to do with it .
Nobody at the meeting asked why the {noun} costs {price} .
Press {number} and wait until the light turns green .
Version {number} of the {noun} fixes what version {number} broke .
The Chief Executive Officer and the Head of Sales share a {noun} .
Terms and Conditions apply to every {noun} .
The bus leaves at {time} , unless the {noun} is {adjective} .
I think that this {noun} is better than the last one , but not by much .
What a {adjective} {noun} !
There were {number} chairs , {number} tables and a single {noun} .
Add the {noun} slowly and stir until it looks {adjective} .
The Model {number} comes with a {adjective} {noun} and a spare key .
She would rather be a {job} than own a {noun} .
If you may , and I say may , then take the {noun} with you .
They march in step , they will not stop , and no one has asked them to .
In hope and faith they bought a {adjective} {noun} .
A frank talk about the {noun} did them good .
The {noun} of the {noun} is a question for a {job} .
As a {job} , I would never pay {price} for that .
Room {number} is cold , room {number} has no {noun} , the others are taken .
Tickets are {price} at the door and {price} online .
This {city} style sofa is more {adjective} than it looks .
Half of the {noun} is gone , and it is only {time} .
"""

# These are both names and ordinary words.
_NAMES_AND_WORDS = (
  'April Bill Chase Faith Frank Grace Grant Hope Joy June Mark May Penny Rose '
  'Will'
).split()
_MONTHS = (
  'January February March April May June July August September October '
  'November December'
).split()
_POOL = 500
_TOLERANCE = 0.05

_Sentence = list[tuple[str, str]]  # (token, BIO tag)


def write_corpus(
  directory: str | os.PathLike,
  *,
  seed: int,
  sizes: Mapping[str, int],
  imbalance: float = 50.0,
) -> dict[str, pathlib.Path]:
  """Writes a corpus as CoNLL column files (token, tab, BIO tag).

  All draws depend on the seed and the name of the split, so the same arguments
  give the same bytes as long as Faker's lists are the same. The default
  imbalance is close to SQuAD 1.1 (56 in Li et al., 2020, table 1).

  Args:
    directory: the directory of the files, made if it does not exist.
    seed: the seed of all draws.
    sizes: split → number of sentences.
    imbalance: O tokens per entity token in each split, kept within 5 %. Values
      from 3 to about 200 are possible. A split then needs about 300 sentences
      at 50, and 1,000 at 200.

  Returns:
    split → file.

  Raises:
    ValueError: a split of this size cannot have this imbalance.
  """
  directory = pathlib.Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  paths = {}
  for split, size in sizes.items():
    # Python hashes a seed that is a string alike on all machines.
    sentences = _split(f'{seed}/{split}', size, imbalance)
    outside, inside = _count(itertools.chain(*sentences))
    if abs(outside - imbalance * inside) >= _TOLERANCE * imbalance * inside:
      raise ValueError(
        f'{size} sentences of {split!r} have {outside} O and {inside} entity '
        f'tokens, which is not {imbalance:g} : 1. Expected more sentences or '
        'an imbalance between about 3 and 200.'
      )
    paths[split] = directory / f'{split}.conll'
    paths[split].write_text(
      '\n'.join(
        ''.join(f'{token}\t{tag}\n' for token, tag in sentence)
        for sentence in sentences
      ),
      encoding='utf-8',
      newline='\n',
    )
  return paths


def _split(seed: str, size: int, imbalance: float) -> list[_Sentence]:
  """Returns sentences whose counts stay as close to `imbalance` as they can."""
  rng = random.Random(seed)
  words = _words(rng, seed)
  with_entities = _render(_WITH_ENTITIES, words, rng)
  without = _render(_WITHOUT_ENTITIES, words, rng)
  # A sentence that does not fit yet waits for its turn. If it were dropped,
  # sentences with short entities would be more frequent.
  entities, filler = next(with_entities), next(without)
  sentences, surplus = [], 0.0
  for _ in range(size):
    outside, inside = _count(entities)
    change = outside - imbalance * inside
    if abs(surplus + change) <= surplus + len(filler):
      sentences.append(entities)
      entities = next(with_entities)
      surplus += change
    else:
      sentences.append(filler)
      surplus += len(filler)
      filler = next(without)
  rng.shuffle(sentences)
  return sentences


def _count(words: Iterable[tuple[str, str]]) -> tuple[int, int]:
  """Returns the numbers of O tokens and of entity tokens."""
  is_outside = [tag == 'O' for _, tag in words]
  return sum(is_outside), len(is_outside) - sum(is_outside)


def _render(
  templates: str, words: Mapping[str, Sequence[str]], rng: random.Random
) -> Iterator[_Sentence]:
  choices = templates.strip().splitlines()
  while True:
    sentence = []
    for part in rng.choice(choices).split():
      slot = part.strip('{}')
      if slot == part:
        sentence.append((part, 'O'))
        continue
      tokens = rng.choice(words[slot]).replace(',', ' ,').split()
      tags = [f'B-{slot}', *[f'I-{slot}'] * (len(tokens) - 1)]
      if slot.islower():
        tags = ['O'] * len(tokens)
      sentence += zip(tokens, tags, strict=True)
    yield _in_some_case(sentence, rng)


def _in_some_case(sentence: _Sentence, rng: random.Random) -> _Sentence:
  """Lowers some sentences and capitalises the words of others, at random."""
  chance = rng.random()
  if chance < 0.1:
    return [(token.lower(), tag) for token, tag in sentence]
  if chance < 0.2:
    return [(token[0].upper() + token[1:], tag) for token, tag in sentence]
  (first, tag), *rest = sentence
  return [(first[0].upper() + first[1:], tag), *rest]


def _words(rng: random.Random, seed: str) -> Mapping[str, Sequence[str]]:
  """Returns the words for each slot. Slots that look alike share words."""
  fake = faker.Faker('en_US')
  fake.seed_instance(seed)

  def draw(make: Callable[[], str]) -> list[str]:
    return [make() for _ in range(_POOL)]

  def number(low: int, high: int) -> str:
    return str(rng.randint(low, high))

  def date() -> str:
    day, month, year = number(1, 28), rng.choice(_MONTHS), number(1950, 2029)
    return rng.choice(
      [
        f'{day} {month} {year}',
        f'{month} {day} , {year}',
        f'{month} {day}',
        f'{month} {year}',
        f'{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}',
      ]
    )

  firsts = [*draw(fake.first_name), *_NAMES_AND_WORDS * 5]
  surnames = draw(fake.last_name)
  cities = draw(fake.city)

  def person() -> str:
    first, last = rng.choice(firsts), rng.choice(surnames)
    return rng.choice([f'{first} {last}', f'{first} {last}', first, last])

  return {
    'PER': draw(person),
    'ORG': [*draw(fake.company), *surnames[:100]],
    'LOC': cities,
    'DATE': draw(date),
    'EMAIL': draw(fake.email),
    'PHONE': draw(fake.phone_number),
    'surname': surnames,
    'city': cities,
    'month': _MONTHS,
    'word': _NAMES_AND_WORDS,
    'job': draw(lambda: fake.job().split(',')[0].lower()),
    'noun': draw(lambda: fake.word(part_of_speech='noun')),
    'adjective': draw(lambda: fake.word(part_of_speech='adjective')),
    'number': draw(lambda: number(2, 2100)),
    'price': draw(lambda: f'$ {number(1, 900)}'),
    'time': draw(lambda: f'{number(0, 23)}:{rng.randint(0, 59):02}'),
    # Half of the codes look like phone numbers.
    'code': [
      fake.numerify(form) for form in ('###-###-####', '%#####') * (_POOL // 2)
    ],
  }
