"""How many examples Hypothesis draws for a test."""

import hypothesis


def examples(number):
  """Returns settings that draw so many in the profile `wide`, else a tenth."""
  share = hypothesis.settings.default.max_examples / 100
  return hypothesis.settings(max_examples=max(5, round(share * number)))
