"""The rules that bound a polar, one file each."""
