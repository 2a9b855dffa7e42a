"""Payload of packets -> names, types and codes of DNS, TLS, HTTP/1 and QUIC, by packet and by session.

Light decoders: the first bytes of a message only, nothing that is encrypted but QUIC's Initial packets, whose keys
are public. What cannot be seen stays empty. May import `sessions`; text for a person belongs in `views`.
"""
