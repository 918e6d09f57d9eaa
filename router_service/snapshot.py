"""One configuration as the router serves by it: made off to the side, put in the place of the one before whole."""

from dataclasses import replace

from catalog.mesh import Mesh
from router_service.health import Health
from router_service.lately import Lately
from router_service.listed import View
from router_service.order import Tools
from router_service.silence import WithoutLedger
from router_service.vendor_list import VendorList


class Snapshot:
    """What follows from a configuration. A request keeps the one it began with until it ends.

    What was learned and what is open is in `tools` and outlasts it: breakers, speeds, estimates, connections.

    Raises:
        StartError: it asks for a strategy that this router does not have.
    """

    def __init__(self, mesh: Mesh, tools: Tools, lately: Lately) -> None:
        self.mesh = mesh
        self.tools = replace(tools, without_ledger=WithoutLedger(mesh), timeouts=mesh.timeouts)
        self._seen = View(mesh, tools.estimator)
        self.vendor_list = VendorList(mesh, tools.vendors, tools.breakers, tools.rejections, tools.clock)
        self.health = Health(self.tools, self.vendor_list, lately)
        self._seen.now(tools.vendors.lists())

    @property
    def view(self) -> View:
        """The configuration with what vendors list now."""
        return self._seen.now(self.tools.vendors.lists())
