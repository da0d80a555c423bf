"""Words of classes, and the lists that go with them.

`parsing` reads typed lines, `sets` keeps prompts in files, `word_lists` finds lists of
templates and background words, and `ids` gives each class a label id that stays.
"""
