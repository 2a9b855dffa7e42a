"""A capture file -> batches of decoded packets; and whether the file has all packets that were requested.

The entry point is `reading`; `packet_table` declares a row; `compiled` decodes. May import `pcapng`, `wire`,
`arrays`, `units` and `errors`. Code that needs more than one packet belongs in `sessions`.
"""
