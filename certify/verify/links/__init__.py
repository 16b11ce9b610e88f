"""The links from a certificate to model and data files."""
