#!/bin/sh
# Issues the development certificates of the stack (Vault, PostgreSQL, the HTTPS edge) where they are missing or due.
set -eu
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
case ${1:-} in
-h | --help)
    cat <<'HELP'
Usage: scripts/setup_ssl.sh [--force]

Issues the development certificates of the stack where they are missing, due or no longer right; safe to repeat.
Running services pick a new certificate up at once.

  --force     new keys and certificates, also where the present ones are good
  -h, --help  this text

The same as "./nasos tls setup". "./nasos tls status" shows names and expiry; docs/tls.md tells how to trust the CA.
HELP
    exit 0
    ;;
esac
exec "$root/nasos" tls setup "$@"
