"""Blob stores: the bytes of LFS objects and assets, in a directory or on S3."""
