"""GEM (arXiv 2312.00878), and what may be added to it without training.

`method` is the paper; `neighbours` and `outliers` are additions, off by default.
"""
