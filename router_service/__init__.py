"""Plans over offers, holds budgets, calls vendors, falls back, explains."""
