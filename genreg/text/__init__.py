"""Texts as rows of token numbers."""

from genreg.text.vocabulary import Vocabulary as Vocabulary
