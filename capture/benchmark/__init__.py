"""This node -> what capturing costs on it, beside other tools: what `bicap bench` runs.

What belongs here: the means of a measurement (veth_pair.py, senders.py, frames.py, process.py), loads, and runs of
tools side by side (compare.py), workloads, and the costs that are fitted to them (calibration.py).

What it may import: everything below the command line, because it starts `bicap` as a process and reads its files.

What does not belong here: measurements that only developers make, with their pages and pictures (`bench/`, which uses
this and is not installed), and what only tests need (`testbed/`).
"""
