"""The services that front one vendor each, and the fake vendors they are tried against."""
