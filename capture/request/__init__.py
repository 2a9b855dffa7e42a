"""The request: one document that says what to capture, and every door that leads to it.

`document.py` declares each field once: its help, unit, range, default, option and place in the spec. From that come
the options of `bicap capture` and `bicap plan`, the keys of rule files, the PacketCapture with its CRD and its page,
and the `spec` of a summary. A door (given.py, own.py, antrea.py, rulefile.py) builds a document, overlay.py lays one
over another, convert.py makes a CaptureSpec of it.

It may import the values that a spec consists of (filters, sampling, selection, storage, spec). Code that opens other
files than those that a request names, or that looks at the machine, does not belong here.
"""
