"""Where the ledger is kept; every store passes the same contract suite."""
