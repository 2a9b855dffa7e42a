"""Wireshark's own start button: bicap as an external capture program (extcap).

Wireshark runs `python -m capture.extcap` with the options of its protocol: to list interfaces, to learn their
options, and to capture into a named pipe. Each call but the last must be over in 0.2 s, so nothing heavy is imported
here: not numpy, bcc, click or pyroute2. The options are those of the request document; the capture itself is `bicap
capture` in a process of its own. Questions to a cluster do not belong here.
"""
