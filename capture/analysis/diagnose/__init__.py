"""Tables of sessions -> what goes wrong in them: groups that show the same trouble at the same place, ranked.

`findings` is the door, `troubles` the list of what is looked for, `sentences` says it. May import `packets` (how
complete a file is) and `sessions`. A new kind of trouble is an entry of `troubles`, and no code elsewhere.
"""
