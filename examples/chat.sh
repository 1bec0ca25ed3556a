#!/usr/bin/env bash
# Says something at the chat door with nothing but curl, and shows the events as they come.
#
#   examples/chat.sh [--base-url http://127.0.0.1:8000/v1] [MESSAGE]
#
# Each piece of the answer is an "event: chunk"; "event: done" ends it, "event: error" where the
# model failed on the way. With NOVA_API_KEYS set on the server, set NOVA_API_KEY here to one of them.
set -euo pipefail

base_url=http://127.0.0.1:8000/v1
if [ "${1:-}" = --base-url ]; then
  base_url=$2
  shift 2
fi
message=${1:-What is 2+3?}

# A backslash or a quotation mark would end the JSON string: each gets a backslash before it.
escaped=$(printf '%s' "$message" | sed 's/[\\"]/\\&/g')

# -N shows what comes at once; --fail-with-body makes a refusal an error of this script, too.
curl --no-buffer --silent --show-error --fail-with-body "${base_url%/v1}/api/v1/chat" \
  --header 'Content-Type: application/json' \
  ${NOVA_API_KEY:+--header "Authorization: Bearer $NOVA_API_KEY"} \
  --data "{\"message\": \"$escaped\"}"
