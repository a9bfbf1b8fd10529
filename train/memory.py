"""Huge pages of memory, which shorten the steps of training on CPUs."""

import os
import pathlib
import sys

_TUNABLES = 'GLIBC_TUNABLES'
_SYSTEM = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')


def use_huge_pages() -> None:
  """Starts the command anew with huge pages, where Linux leaves the choice.

  The arrays of a step are returned to the system and requested again, small
  page by small page, in the next one. glibc asks for huge pages only if a
  variable says so when a process starts. The process keeps its number and its
  streams; nothing must have been read or written yet. If GLIBC_TUNABLES is
  set, even to '', nothing happens.
  """
  if _TUNABLES in os.environ or not _is_a_choice():
    return
  os.environ[_TUNABLES] = 'glibc.malloc.hugetlb=1'
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_a_choice() -> bool:
  """Whether glibc can ask for huge pages, and the system waits to be asked."""
  if sys.platform != 'linux' or not _SYSTEM.is_file():
    return False
  try:
    name, version = (os.confstr('CS_GNU_LIBC_VERSION') or '').split()
    known = tuple(map(int, version.split('.'))) >= (2, 35)
  except ValueError:  # Another library, such as musl.
    return False
  return name == 'glibc' and known and '[madvise]' in _SYSTEM.read_text()
