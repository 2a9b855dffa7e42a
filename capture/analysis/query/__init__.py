"""Tables of sessions -> columns with names, conditions on them, an order; and the words for numbers in them.

May import `sessions`. Headings, widths and formats belong in `views`.
"""
