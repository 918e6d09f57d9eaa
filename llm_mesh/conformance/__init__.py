"""The conformance kit: recorded answers of vendors, served over a real socket to a provider service, and judged."""
