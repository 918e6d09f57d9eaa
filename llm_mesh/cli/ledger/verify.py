"""`llm-mesh ledger verify`: recomputes the ledger and says where it is wrong; fails when it is."""

from llmmesh.quota.v1 import quota_pb2

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit

# Recomputing a long journal takes a while.
PATIENCE = 120.0


def verify(*, quota: options.QuotaAddress = options.QUOTA, as_json: options.Json = False) -> None:
    """Recompute what is used and held from the holds and the journal; the exit code is 1 when anything differs."""
    outcome.run(show(quota, as_json=as_json), as_json=as_json)


async def show(address: str, *, as_json: bool) -> Exit:
    """Ask the quota service to recompute, and print what it found."""
    async with session.quota(address) as way:
        request = quota_pb2.VerifyRequest()
        found: quota_pb2.VerifyResponse = await way.answer(way.stub.Verify(request, timeout=PATIENCE))
    if as_json:
        output.print_json({"right": not found.differences, **output.plain(found)})
    else:
        _print(found)
    return Exit.FAILED if found.differences else Exit.DONE


def _print(found: quota_pb2.VerifyResponse) -> None:
    console = output.console()
    for difference in found.differences:
        console.print(f"wrong: {difference}", style="red")
    if found.drifts:
        table = output.table("used at the vendor by others", "theirs", "ours", numbers=("theirs", "ours"))
        for drift in found.drifts:
            table.add_row(
                drift.budget, output.amount(drift.external, drift.unit), output.amount(drift.used, drift.unit)
            )
        console.print(table)
    looked = f"{output.count(found.budgets, 'budget')} and {output.count(found.open_holds, 'open hold')}"
    wrong = output.count(len(found.differences), "difference")
    console.print(f"{looked}: {wrong if found.differences else 'every level is the sum of what is behind it'}")
