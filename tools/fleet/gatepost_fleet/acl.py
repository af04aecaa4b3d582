"""Access rules of each engine: a gateway reads and writes below its own root, the fleet writes commands."""

from __future__ import annotations

_MOSQUITTO = """# mosquitto: acl_file. Each gateway's user name is its gateway id.
pattern readwrite gateways/%u/#
pattern read organizations/{org}/broadcast
user {user}
topic read gateways/#
topic write gateways/+/commands
topic write gateways/+/desired/#
topic write gateways/+/devices/+/commands
topic write organizations/{org}/broadcast
"""
_RABBITMQ = """# RabbitMQ: the right to the exchange, then rights to topics; {{username}} is filled in by RabbitMQ.
# A dot in a gateway's id would match any other sign of another's there: give no such ids. For each gateway:
own='^(amq\\.topic|mqtt-subscription-.*)$'
rabbitmqctl set_permissions GATEWAY '^mqtt-subscription-.*' "$own" "$own"
rabbitmqctl set_topic_permissions GATEWAY amq.topic '^gateways\\.{{username}}\\..*' \\
  '^(gateways\\.{{username}}\\..*|organizations\\.{org}\\.broadcast)'
# For the workers and the fleet:
rabbitmqctl set_permissions {user} '^gatepost\\..*' '^(amq\\.topic|gatepost\\..*)$' '^(amq\\.topic|gatepost\\..*)$'
"""
_NATS = """# nats-server: inside of `authorization {{ users = [ ... ] }}`, one entry for each gateway GATEWAY.
{{ user: GATEWAY, password: "...", permissions: {{
    publish:   {{ allow: ["gateways.GATEWAY.>"] }}
    subscribe: {{ allow: ["gateways.GATEWAY.>", "organizations.{org}.broadcast"] }} }} }}
# For the workers and the fleet: they need JetStream.
{{ user: {user}, password: "..." }}
"""
_EMQX = """%% EMQX: acl.conf, before the rule that denies everything.
{{allow, all, all, ["gateways/${{username}}/#"]}}.
{{allow, all, subscribe, ["organizations/{org}/broadcast"]}}.
{{allow, {{user, "{user}"}}, all, ["gateways/#", "devices/#", "$share/+/#", "organizations/{org}/broadcast"]}}.
{{deny, all}}.
"""
ENGINES = {"mosquitto": _MOSQUITTO, "rabbitmq": _RABBITMQ, "nats": _NATS, "emqx": _EMQX}


def rules(engine: str, organization: str, user: str) -> str:
    """The rules as the engine reads them. KeyError for an engine that is not known."""
    return ENGINES[engine].format(org=organization, user=user)
