"""
What the dashboards have in common: queries, variables, links, and how panels look.

Source: grafana-foundation-sdk for Grafana 11.6; grafana-clickhouse-datasource 4 for the macros.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard

CLICKHOUSE = dashboard.DataSourceRef("grafana-clickhouse-datasource", "${clickhouse}")
PROMETHEUS = dashboard.DataSourceRef("prometheus", "${prometheus}")
PHASES = (
    "client", "gateway", "cache", "network", "edge_proxy", "mesh_proxy", "app", "dependency",
    "unexplained",
)  # fmt: skip
FILTERS = ("gateway", "api", "operation", "consumer", "region")
HOP_FILTERS = ("gateway", "api", "operation")
_NUMBERS = {"timeseries": 0, "table": 1, "logs": 2}
_SHOWN_AS = Literal["timeseries", "table", "logs"]

# Views are read by bucket: it is what their table is ordered by.
IN_RANGE = (
    "$__timeFilter(start) AND bucket >= $__fromTime - INTERVAL 5 MINUTE AND bucket <= $__toTime"
)


class SqlQuery(Dataquery):
    """A query of the ClickHouse data source."""

    def __init__(self, ref_id: str, sql: str, shown_as: _SHOWN_AS) -> None:
        self.ref_id = ref_id
        self.sql = " ".join(sql.split())
        self.shown_as = shown_as

    def to_json(self) -> dict[str, object]:
        """Return what the data source's editor writes."""
        return {
            "datasource": CLICKHOUSE,
            "editorType": "sql",
            "format": _NUMBERS[self.shown_as],
            "queryType": self.shown_as,
            "rawSql": self.sql,
            "refId": self.ref_id,
        }


class _Sql(Builder[Dataquery]):
    def __init__(self, query: SqlQuery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        return self._query


def sql(text: str, shown_as: _SHOWN_AS = "timeseries", ref_id: str = "A") -> Builder[Dataquery]:
    """Return a query; `where()` gives what keeps it to the range and to what is chosen."""
    return _Sql(SqlQuery(ref_id, text, shown_as))


def promql(expression: str, legend: str, ref_id: str = "A") -> Builder[Dataquery]:
    """Return a query of Prometheus."""
    return (
        prometheus.Dataquery()
        .datasource(PROMETHEUS)
        .expr(expression)
        .legend_format(legend)
        .ref_id(ref_id)
    )


def where(filters: Sequence[str] = FILTERS, *, more: str = "") -> str:
    """Return the condition for the range and what the variables choose."""
    chosen = [
        f"$__conditionalAll({name} IN (${{{name}:singlequote}}), ${name})" for name in filters
    ]
    return " AND ".join([IN_RANGE, *chosen, *([more] if more else [])])


def variables(filters: Sequence[str] = FILTERS) -> list[Builder[dashboard.VariableModel]]:
    """Return the data source, the address of the pages, and one variable for each filter."""
    found: list[Builder[dashboard.VariableModel]] = [
        builders.DatasourceVariable("clickhouse")
        .label("ClickHouse")
        .type("grafana-clickhouse-datasource"),
        builders.TextBoxVariable("hopline")
        .label("Hopline")
        .description("Where people open Hopline's pages.")
        .default_value("http://127.0.0.1:8080"),
    ]
    for place, name in enumerate(filters):
        above = where(filters[:place])
        found.append(
            builders.QueryVariable(name)
            .label({"api": "API"}.get(name, name.capitalize()))
            .datasource(CLICKHOUSE)
            .query(
                f"SELECT DISTINCT {name} FROM hopline.requests WHERE {above} AND {name} != ''"
                f" ORDER BY {name} LIMIT 500"
            )
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .allow_custom_value(True)
            .current(dashboard.VariableOption(text="All", value="$__all"))
        )
    return found


def prometheus_variable() -> Builder[dashboard.VariableModel]:
    """Return the variable for the data source that has Hopline's own metrics."""
    return builders.DatasourceVariable("prometheus").label("Prometheus").type("prometheus")


def board(uid: str, title: str, description: str) -> builders.Dashboard:
    """Return an empty dashboard, with links to the others."""
    return (
        builders.Dashboard(f"Hopline: {title}")
        .uid(f"hopline-{uid}")
        .description(description)
        .tags(["hopline"])
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("1m")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .link(
            builders.DashboardLink("Hopline")
            .type(dashboard.DashboardLinkType.DASHBOARDS)
            .tags(["hopline"])
            .include_vars(True)
            .keep_time(True)
        )
    )


class _Changes(dashboard.AnnotationQuery):
    """Marks from a statement: the SDK knows no query of this data source here."""

    def __init__(self, name: str, color: str, query: SqlQuery) -> None:
        super().__init__(name=name, datasource=CLICKHOUSE, icon_color=color)
        self._query = query

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {"target": self._query.to_json()}


class _ChangesBuilder(Builder[dashboard.AnnotationQuery]):
    def __init__(self, changes: _Changes) -> None:
        self._changes = changes

    def build(self) -> dashboard.AnnotationQuery:
        return self._changes


def changes() -> list[Builder[dashboard.AnnotationQuery]]:
    """Return marks where a revision of an API or a version of a service was first seen."""
    lately = "bucket >= $__fromTime - INTERVAL 1 DAY AND bucket <= $__toTime"
    revisions = f"""
        SELECT min(start) AS time, concat(api, ' revision ', api_revision) AS text,
            'revision' AS tags
        FROM hopline.requests WHERE {lately} AND api_revision != ''
        GROUP BY gateway, api, api_revision HAVING time >= $__fromTime ORDER BY time LIMIT 100"""
    versions = f"""
        SELECT min(start) AS time, concat(service, ' ', version) AS text, 'version' AS tags
        FROM hopline.hops WHERE {lately} AND version != ''
        GROUP BY service, version HAVING time >= $__fromTime ORDER BY time LIMIT 100"""
    return [
        _ChangesBuilder(_Changes("API revisions", "purple", SqlQuery("Anno", revisions, "table"))),
        _ChangesBuilder(_Changes("Versions", "blue", SqlQuery("Anno", versions, "table"))),
    ]


def link(title: str, url: str) -> Builder[dashboard.DashboardLink]:
    """Return a link of a value; *url* may name fields of the row."""
    return builders.DashboardLink(title).url(url).target_blank(url.startswith("${hopline}"))


def to_board(uid: str, title: str, **fields: str) -> dict[str, object]:
    """Return a link to another dashboard, for the same time and what the row is about."""
    chosen = "".join(f"&var-{name}=${{__data.fields.{field}}}" for name, field in fields.items())
    kept = "${__url_time_range}&var-hopline=${hopline}&var-clickhouse=${clickhouse}"
    return {"title": title, "url": f"/d/hopline-{uid}?{kept}{chosen}", "targetBlank": False}


def to_page() -> dict[str, object]:
    """Return a link to the page of a row's request."""
    return {
        "title": "Timeline of this request",
        "url": "${hopline}/request?id=${__data.fields.request_id:percentencode}",
        "targetBlank": True,
    }


def to_trace() -> dict[str, object]:
    """Return a link to a row's trace in Explore, by the data source that provisioning sets up."""
    panes = (
        '{"a":{"datasource":"hopline-jaeger","queries":[{"refId":"A","datasource":'
        '{"type":"jaeger","uid":"hopline-jaeger"},"query":"${__data.fields.trace_id}"}],'
        '"range":{"from":"${__from}","to":"${__to}"}}}'
    )
    return {"title": "Trace", "url": f"/explore?schemaVersion=1&panes={panes}", "targetBlank": True}


def field(**properties: Any) -> list[dashboard.DynamicConfigValue]:
    """Return properties of one field; `_` in a name stands for `.`."""
    return [
        dashboard.DynamicConfigValue(id_val=name.replace("_", "."), value=value)
        for name, value in properties.items()
    ]


def limits(*steps: tuple[float | None, str]) -> Builder[dashboard.ThresholdsConfig]:
    """Return thresholds: the color from each value on; `None` for the lowest."""
    return (
        builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([dashboard.Threshold(value=value, color=color) for value, color in steps])
    )


def rising(orange: float, red: float) -> Builder[dashboard.ThresholdsConfig]:
    """Return limits above which a value is bad."""
    return limits((None, "green"), (orange, "orange"), (red, "red"))


def falling(orange: float, green: float) -> Builder[dashboard.ThresholdsConfig]:
    """Return limits below which a value is bad."""
    return limits((None, "red"), (orange, "orange"), (green, "green"))


def lines(
    title: str,
    description: str,
    unit: str,
    *targets: Builder[Dataquery],
    span: int = 12,
    source: dashboard.DataSourceRef = CLICKHOUSE,
    thresholds: Builder[dashboard.ThresholdsConfig] | None = None,
    is_stacked: bool = False,
) -> timeseries.Panel:
    """Return a panel of lines over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(source)
        .unit(unit)
        .min(0)
        .height(9)
        .span(span)
        .targets(list(targets))
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .calcs(["mean", "max"])
            .show_legend(True)
        )
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
    )
    if is_stacked:
        panel.stacking(
            common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
        ).fill_opacity(40)
    if thresholds is not None:
        panel.thresholds(thresholds).thresholds_style(
            common_builders.GraphThresholdsStyleConfig().mode(
                common.GraphThresholdsStyleMode.DASHED
            )
        )
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    target: Builder[Dataquery],
    thresholds: Builder[dashboard.ThresholdsConfig] | None = None,
    source: dashboard.DataSourceRef = CLICKHOUSE,
) -> stat.Panel:
    """Return a panel of one number."""
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(source)
        .unit(unit)
        .height(4)
        .span(4)
        .thresholds(thresholds or limits((None, "text")))
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .with_target(target)
    )


def rows(
    title: str,
    description: str,
    text: str,
    fields: Mapping[str, list[dashboard.DynamicConfigValue]],
    *,
    span: int = 24,
    height: int = 10,
) -> table.Panel:
    """Return a table; *fields* says how each column is shown."""
    panel = (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(CLICKHOUSE)
        .height(height)
        .span(span)
        .filterable(True)
        .with_target(sql(text, "table"))
    )
    for name, properties in fields.items():
        panel.override_by_name(name, properties)
    return panel


MS = field(unit="ms", decimals=1)
SHARE = field(unit="percentunit", decimals=1, min=0, max=1)
