# One trading bot: reads its own secrets, sees nobody else's, writes nothing.
path "kv/data/nasos/bots/<bot>/*" {
  capabilities = ["read"]
}

# The current version of each secret, to notice a change without reading the value.
path "kv/metadata/nasos/bots/<bot>/*" {
  capabilities = ["read", "list"]
}
