
# The key by which it makes this bot's own short tokens, and nothing else of the bot.
path "kv/data/nasos/bots/<bot>/jwt" {
  capabilities = ["read"]
}
