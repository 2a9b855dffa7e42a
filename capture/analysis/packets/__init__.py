"""A capture file -> batches of decoded packets; and whether the file has all that was asked for.

`reading` is the door; `packet_table` says what a row has; `compiled` decodes. May import `pcapng` and the ground
floor. What needs more than one packet belongs in `sessions`.
"""
