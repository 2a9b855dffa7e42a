"""bicap: both directions of chosen conversations on Kubernetes pod interfaces, into pcapng.

The packets' way, and the folder for each step:

    spec -> plan -> kernel (bpf/) -> stream -> pcapng -> sink -> analysis
"""
