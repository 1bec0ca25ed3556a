#!/usr/bin/env bash
# Fetches the vendored files anew, at the versions that each VERSIONS.md names: of /docs and /redoc,
# of the pages, and of the pages' tests.
set -euo pipefail
cd "$(dirname "$0")/.."
docs=src/novasystem/http/static
pages=src/novasystem/web/static/vendor
tests=tests/web/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fetch PACKAGE FOLDER: unpacks it below $work, at the version that FOLDER/VERSIONS.md names.
fetch() {
  local version
  version=$(sed -n "s/^| $1 | \([^ ]*\) .*/\1/p" "$2/VERSIONS.md")
  mkdir "$work/$1"
  (cd "$work" && npm pack --silent "$1@$version" >/dev/null)
  tar xzf "$work/$1"-*.tgz -C "$work/$1" --strip-components 1
  echo "Vendored $1 $version into $2."
}

fetch swagger-ui-dist "$docs"
cp "$work"/swagger-ui-dist/{swagger-ui-bundle.js,swagger-ui-bundle.js.LICENSE.txt,swagger-ui.css} "$docs/"
cp "$work/swagger-ui-dist/LICENSE" "$docs/swagger-ui.LICENSE"
cp "$work/swagger-ui-dist/NOTICE" "$docs/swagger-ui.NOTICE"
fetch redoc "$docs"
cp "$work"/redoc/bundles/redoc.standalone.js{,.LICENSE.txt} "$docs/"
# Its logo would be asked of a foreign address.
sed -i 's#https://cdn.redoc.ly/redoc/logo-mini.svg#data:,#' "$docs/redoc.standalone.js"
cp "$work/redoc/LICENSE" "$docs/redoc.LICENSE"

fetch htmx.org "$pages"
cp "$work/htmx.org/dist/htmx.min.js" "$pages/"
cp "$work/htmx.org/LICENSE" "$pages/htmx.LICENSE"
fetch uplot "$pages"
cp "$work"/uplot/dist/{uPlot.iife.min.js,uPlot.min.css} "$pages/"
cp "$work/uplot/LICENSE" "$pages/uPlot.LICENSE"

fetch axe-core "$tests"
cp "$work/axe-core/axe.min.js" "$tests/"
cp "$work/axe-core/LICENSE" "$tests/axe.LICENSE"
