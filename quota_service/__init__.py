"""The ledger: alone knows limits, admits what fits, and charges what may have been spent."""
