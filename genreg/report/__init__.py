"""Tables with a verdict, made from run folders: reads files only, without torch, tasks or Hydra.

The verbs are `command` (`genreg report`), `ls`, `show` and `plan`. `read` knows the folders, `judge` the
tests, `output` the words, `draw` the pictures, `figures` those that a part has, and `page` the HTML.
"""
