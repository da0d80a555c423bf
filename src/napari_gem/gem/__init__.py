"""GEM (arXiv 2312.00878), and what may be added to it without training.

`method` is the paper, to be read beside it. It works on any `block`; `neighbours`,
`guidance` and `outliers` are additions of later papers, off by default.
"""
