"""Capture files -> batches of decoded packets; and whether the files have all packets that were requested.

`reading` opens one file, `merged` several as one; `packet_table` declares a row; `compiled` decodes; `matching`
chooses packets by an expression. May import `pcapng`, `filters`, `wire`, `arrays`, `units` and `errors`. Code that
needs more than one packet belongs in `sessions`.
"""
