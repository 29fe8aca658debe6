"""A release's values as YAML; with reasons beside each key: which layer set it, and why."""

import io

from ddhelm import tree
from ddhelm.settings import RECORD_KEY
from ddhelm.values import Values


def text(values: Values, *, explain: bool) -> str:
    """YAML that helm reads back to the same tree; with ``explain`` each leaf carries a comment: layer, then reason."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    def styled(value: object) -> object:
        if isinstance(value, str):
            if "\n" in value:
                return LiteralScalarString(value)
            return DoubleQuotedScalarString(value) if _ambiguous(value) else str(value)
        if isinstance(value, dict):
            return _map({str(styled(k)) if not _ambiguous(str(k)) else styled(k): styled(v) for k, v in value.items()})
        if isinstance(value, list):
            return [styled(item) for item in value]
        return value

    def _map(plain: dict[object, object]) -> object:
        from ruamel.yaml.comments import CommentedMap

        return CommentedMap(plain)

    shown = values.tree if not explain else {k: v for k, v in values.tree.items() if k != RECORD_KEY}
    document = styled(shown)
    if explain:
        _explain(document, (), values)
    yaml = YAML()
    yaml.width = 4096
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _explain(node: object, path: tree.Path, values: Values) -> None:
    if not isinstance(node, dict):
        return
    for key in node:
        here = (*path, str(key))
        if isinstance(node[key], dict) and node[key]:
            _explain(node[key], here, values)
            continue
        origin = values.origin(here)
        words = f"{origin.layer}: {origin.reason}" if origin.reason else origin.layer
        node.yaml_set_comment_before_after_key(  # type: ignore[attr-defined]
            key, before=" ".join(words.split()), indent=2 * len(path)
        )


def _ambiguous(value: str) -> bool:
    """Whether a plain scalar would be read as something else than text, by YAML 1.1 (Helm) or 1.2."""
    from ddhelm.goyaml import scalar

    return value == "" or not isinstance(scalar(value), str)
