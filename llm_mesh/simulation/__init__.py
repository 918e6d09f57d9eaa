"""What would happen: a configuration's real plans and real ledger rules under made-up demand, in virtual time."""
