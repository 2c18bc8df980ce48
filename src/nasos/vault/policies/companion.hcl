# The Cloudflare companion: reads its API token, and no other.
path "kv/data/nasos/cloudflare/companion" {
  capabilities = ["read"]
}
