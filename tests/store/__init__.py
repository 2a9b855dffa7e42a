"""Uploads into real stores, through failures: S3 by SeaweedFS and rclone, SFTP by OpenSSH, all on loopback.

`make test-store` installs the stores and sets BICAP_STORE=1. What is asked everywhere: is the status true, is every
file somewhere, and is nothing that is half there said to be whole?
"""
