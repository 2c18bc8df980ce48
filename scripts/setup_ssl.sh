#!/bin/sh
# Issues the certificates of the stack (Vault, PostgreSQL, the bot, the HTTPS edge) where they are missing or due.
set -eu
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
case ${1:-} in
-h | --help)
    cat <<'HELP'
Usage: scripts/setup_ssl.sh [--mode dev|acme|cloudflare] [--force]

Issues the certificates of the stack where they are missing, due or no longer right; safe to repeat.
Running services pick a new certificate up at once, and the stack renews them by itself.

  --mode dev   the development CA signs for the edge, too (the default)
  --mode acme  the CA of [tls.acme] in nasos.toml signs for the edge, with DNS-01; Let's Encrypt by default
  --mode cloudflare  Cloudflare's Origin CA signs for the edge, and Cloudflare with our client certificate is all that
               nginx answers; step by step, each proven before the next (docs/cloudflare.md)
  --force      new keys and certificates, also where the present ones are good
  -h, --help   this text

The mode stands in nasos.toml (mode under [tls]); --mode makes sure that it is the one you mean.
The same as "./nasos tls setup". "./nasos tls status" shows names and expiry; docs/tls.md tells how to trust the CA.
HELP
    exit 0
    ;;
esac
exec "$root/nasos" tls setup "$@"
