#!/usr/bin/env bash
# Fetches the vendored files of /docs and /redoc anew, at the versions that VERSIONS.md names.
set -euo pipefail
cd "$(dirname "$0")/.."
static=src/novasystem/http/static
version() { sed -n "s/^| $1 | \([^ ]*\) .*/\1/p" "$static/VERSIONS.md"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for name in swagger-ui-dist redoc; do
  mkdir "$work/$name"
  (cd "$work" && npm pack --silent "$name@$(version "$name")" >/dev/null)
  tar xzf "$work/$name"-*.tgz -C "$work/$name" --strip-components 1
done
cp "$work"/swagger-ui-dist/{swagger-ui-bundle.js,swagger-ui-bundle.js.LICENSE.txt,swagger-ui.css} "$static/"
cp "$work/swagger-ui-dist/LICENSE" "$static/swagger-ui.LICENSE"
cp "$work/swagger-ui-dist/NOTICE" "$static/swagger-ui.NOTICE"
cp "$work"/redoc/bundles/redoc.standalone.js{,.LICENSE.txt} "$static/"
# Its logo would be asked of a foreign address.
sed -i 's#https://cdn.redoc.ly/redoc/logo-mini.svg#data:,#' "$static/redoc.standalone.js"
cp "$work/redoc/LICENSE" "$static/redoc.LICENSE"
echo "Vendored swagger-ui-dist $(version swagger-ui-dist) and redoc $(version redoc) into $static."
