"""Names the environment variables that carry keys between people and the mesh."""

CALLER_KEY = "ORCHESTRATOR_API_KEY"  # what callers of the router must present
CLIENT_KEY = "MESH_API_KEY"  # what the commands present; no process of the mesh needs it
PEPPER = "MESH_KEY_PEPPER"  # what the keys of tenants.yaml are hashed under; for router, ledger and `llm-mesh keys`
SERVICE_KEY = "MESH_SERVICE_KEY"  # what routers show the quota service
LEDGER_URL = "MESH_LEDGER_URL"  # where the ledger's store is, with its password; for the quota service alone
