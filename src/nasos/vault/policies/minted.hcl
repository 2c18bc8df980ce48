
# The key by which it makes this bot's own short tokens.
path "kv/data/nasos/bots/<bot>/api" {
  capabilities = ["read"]
}
