"""The command `llm-mesh`: which subcommands there are."""

import typer

from llm_mesh.cli import (
    bench,
    breaker,
    catalog,
    chat,
    compare,
    config,
    conformance,
    count,
    demo,
    doctor,
    explain,
    group,
    init,
    models,
    savings,
    serve,
    simulate,
    status,
    up,
)
from llm_mesh.cli.keys.group import keys
from llm_mesh.cli.ledger.group import ledger

app = typer.Typer(
    name="llm-mesh",
    help="One address in front of every LLM vendor: budgets held, streams honest, routes explained.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(up.up)
app.command()(chat.chat)
app.command()(compare.compare)
app.command()(count.count)
app.command()(explain.explain)
app.command()(status.status)
app.command()(breaker.breaker)
app.command()(doctor.doctor)
app.command()(init.init)
app.add_typer(config.app, name="config")
app.add_typer(group.vendors, name="vendors")
app.add_typer(group.vendors, name="providers", hidden=True)
app.command()(models.models)
app.command()(savings.savings)
app.command()(simulate.simulate)
app.command()(demo.demo)
app.command()(conformance.conformance)
app.add_typer(bench.app, name="bench")
app.add_typer(ledger, name="ledger")
app.add_typer(keys, name="keys")
app.add_typer(serve.app, name="serve")
app.add_typer(catalog.app, name="catalog")


def main() -> None:
    """Run the command line."""
    app()
