"""`python -m certify` is `certify`."""

from certify.cli.main import main

main()
