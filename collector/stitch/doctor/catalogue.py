"""
The catalogue: every rule of the doctor, by what it looks at.

Source: fixes from azure-docs (set-header policy, diagnostics), Istio Telemetry
API, Envoy HTTP connection manager, Kong OpenTelemetry plugin, Linkerd tracing.
"""

from collections.abc import Mapping
from typing import Any

from collector.stitch.doctor.gateway_rules import GATEWAY_RULES
from collector.stitch.doctor.mesh_rules import MESH_RULES
from collector.stitch.doctor.overlap_rules import OVERLAP_RULES
from collector.stitch.doctor.population_rules import POPULATION_RULES
from collector.stitch.doctor.quality_rules import QUALITY_RULES
from collector.stitch.doctor.rule import PopulationRule, RequestRule, Rule, TreeRule
from collector.stitch.doctor.source_rules import SOURCE_RULES
from collector.stitch.doctor.tree_rules import TREE_RULES

RULES_OF_TREES: tuple[TreeRule, ...] = (*TREE_RULES, *QUALITY_RULES, *OVERLAP_RULES)
RULES_OF_REQUESTS: tuple[RequestRule, ...] = (*GATEWAY_RULES, *MESH_RULES, *SOURCE_RULES)

RULES_OF_MANY: tuple[PopulationRule, ...] = POPULATION_RULES

_ALL: tuple[Rule[Any, Any], ...] = (*RULES_OF_TREES, *RULES_OF_REQUESTS, *RULES_OF_MANY)
RULES: Mapping[str, Rule[Any, Any]] = {rule.code: rule for rule in _ALL}
"""Every rule by its code."""
