#!/usr/bin/env bash
# Builds a small server that speaks MongoDB's protocol, for the tests, and prints its path.
#
# The result lies in a cache folder outside the checkout, keyed by FerretDB's version and by what
# this folder holds; a second run finds it and returns at once. See README.md beside this file.
set -euo pipefail
cd "$(dirname "$0")"

readonly VERSION=1.24.2
readonly GO_MINIMUM=1.24
readonly CACHE_ROOT="${NOVA_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/novasystem}"

# Progress goes to stderr: stdout carries the binary's path and nothing else.
say() { printf 'mongo: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

# The tests look for the same name: tests/servers/mongo.py.
readonly TARGET="$CACHE_ROOT/mongo-server-$VERSION"
readonly BINARY="$TARGET/bin/mongo-server"
readonly SOURCES=(go.mod go.sum main.go)

checksum() {
    if command -v sha256sum >/dev/null; then
        cat "${SOURCES[@]}" | sha256sum | cut -d' ' -f1
    else
        cat "${SOURCES[@]}" | shasum -a 256 | cut -d' ' -f1
    fi
}

main() {
    local wanted unfinished
    wanted=$(checksum)
    if [[ -x $BINARY && $(cat "$TARGET/sources") == "$wanted" ]]; then
        say "$VERSION is already built"
        echo "$BINARY"
        return
    fi
    command -v go >/dev/null || fail "this needs Go $GO_MINIMUM or newer: apt-get install --yes golang-go"

    # Built beside its final place and renamed, so that an interrupted build never looks finished.
    mkdir -p "$CACHE_ROOT"
    unfinished=$(mktemp -d "$CACHE_ROOT/.mongo-server-$VERSION.XXXXXX")
    # shellcheck disable=SC2064  # the folder of this run
    trap "rm -rf '$unfinished'" EXIT
    chmod 755 "$unfinished"
    mkdir "$unfinished/bin"

    say "building $VERSION (1 to 3 minutes on two cores; an interrupted build resumes) ..."
    nice -n 19 env CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' \
        -o "$unfinished/bin/mongo-server" .
    echo "$wanted" >"$unfinished/sources"
    rm -rf "$TARGET"
    mv "$unfinished" "$TARGET"
    say "built in ${SECONDS} s"
    echo "$BINARY"
}

main "$@"
