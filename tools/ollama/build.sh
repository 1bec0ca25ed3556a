#!/usr/bin/env bash
# Builds a real Ollama server for the tests and prints the path of its binary.
#
# The result lies in a cache folder outside the checkout, keyed by version; a second run finds it
# and returns at once. See README.md beside this file.
set -euo pipefail

readonly VERSION=0.24.0
readonly GO_MINIMUM=1.26

# Go leaves folders called "vendor" out of a module's archive, so Ollama's comes without the three
# header libraries that its native code needs. nlohmann/json and stb are packages of most systems;
# miniaudio is not, but this Go module carries its single header. Go checks the module against its
# checksum database, and we check the header: nothing of it is executed to get it.
readonly MINIAUDIO_MODULE=github.com/gen2brain/malgo@v0.11.24
readonly MINIAUDIO_SHA256=7e4f3f13c8fe66df2080ac3dd12a89193e3c2463cb7f067c798abd7331cd8ee6

readonly CACHE_ROOT="${NOVA_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/novasystem}"
readonly TARGET="$CACHE_ROOT/ollama-$VERSION"
readonly BINARY="$TARGET/bin/ollama"

# Progress goes to stderr: stdout carries the binary's path and nothing else.
say() { printf 'ollama: %s\n' "$*" >&2; }
fail() {
    say "$@"
    exit 1
}

sha256_of() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1" | cut -d' ' -f1
    else
        shasum -a 256 "$1" | cut -d' ' -f1
    fi
}

# True when version $1 (a.b or a.b.c) is at least version $2 (a.b).
at_least() {
    local have_major have_minor want_major want_minor
    IFS=. read -r have_major have_minor _ <<<"$1"
    IFS=. read -r want_major want_minor <<<"$2"
    have_minor=${have_minor%%[!0-9]*} # "27rc1" counts as 27
    ((have_major > want_major || (have_major == want_major && have_minor >= want_minor)))
}

# Prints what is missing and the command that installs it, one line each.
missing_tools() {
    local cc cxx have
    if ! command -v go >/dev/null; then
        echo "Go $GO_MINIMUM or newer: https://go.dev/doc/install"
        return # without Go we cannot ask which compilers it would use
    fi
    have=$(GOTOOLCHAIN=local go env GOVERSION)
    if ! at_least "${have#go}" "$GO_MINIMUM"; then
        echo "Go $GO_MINIMUM or newer (this one is ${have#go}): https://go.dev/doc/install"
    fi

    cc=$(go env CC) cxx=$(go env CXX)
    # CC and CXX may carry flags ("ccache gcc"): the command is the first word.
    if ! command -v "${cc%% *}" >/dev/null || ! command -v "${cxx%% *}" >/dev/null; then
        echo "a C and a C++ compiler ($cc, $cxx): apt-get install --yes build-essential"
        return # without a compiler we cannot ask which headers it finds
    fi
    has_header "$cxx" nlohmann/json.hpp ||
        echo "the header nlohmann/json.hpp: apt-get install --yes nlohmann-json3-dev"
    has_header "$cxx" stb/stb_image.h ||
        echo "the header stb/stb_image.h: apt-get install --yes libstb-dev"
}

has_header() {
    # shellcheck disable=SC2086  # a compiler command may be several words
    echo "#include <$2>" | $1 -M -x c++ - >/dev/null 2>&1
}

# Makes "miniaudio/miniaudio.h" findable and prints the folder to search. The folder's path is the
# same in every run: it stands in the compiler's flags, and Go rebuilds everything when they change.
miniaudio_include_folder() {
    local module header found
    local folder="$CACHE_ROOT/ollama-$VERSION-include"
    # Outside the checkout, so that no go.mod around us has a say.
    module=$(cd "$CACHE_ROOT" && go mod download -json "$MINIAUDIO_MODULE" |
        sed -n 's/^[[:space:]]*"Dir": "\(.*\)".*/\1/p')
    header="$module/miniaudio.h"
    [[ -f $header ]] || fail "$MINIAUDIO_MODULE came without miniaudio.h (looked at '$header')"
    found=$(sha256_of "$header")
    [[ $found == "$MINIAUDIO_SHA256" ]] ||
        fail "miniaudio.h of $MINIAUDIO_MODULE has sha256 $found, expected $MINIAUDIO_SHA256"
    mkdir -p "$folder/miniaudio"
    ln -sf "$header" "$folder/miniaudio/miniaudio.h"
    echo "$folder"
}

build_into() {
    local bin_folder=$1 include flags
    include=$(miniaudio_include_folder)
    flags="-O2 -g0 -I$include"
    (
        cd "$CACHE_ROOT"
        GOBIN="$bin_folder" CGO_ENABLED=1 CGO_CFLAGS=$flags CGO_CXXFLAGS=$flags \
            go install -trimpath \
            -ldflags "-s -w -X github.com/ollama/ollama/version.Version=$VERSION" \
            "github.com/ollama/ollama@v$VERSION"
    )
}

main() {
    if [[ -x $BINARY ]]; then
        say "$VERSION is already built"
        echo "$BINARY"
        return
    fi

    local missing line
    missing=$(missing_tools)
    if [[ -n $missing ]]; then
        say "building $VERSION needs what this machine lacks:"
        while IFS= read -r line; do say "  $line"; done <<<"$missing"
        exit 1
    fi

    # Built beside its final place and renamed, so that an interrupted build never looks finished.
    mkdir -p "$CACHE_ROOT"
    unfinished=$(mktemp -d "$CACHE_ROOT/.ollama-$VERSION.XXXXXX")
    trap 'rm -rf "$unfinished"' EXIT
    chmod 755 "$unfinished"

    say "building $VERSION (2 to 5 minutes on two cores; an interrupted build resumes) ..."
    build_into "$unfinished/bin"

    "$unfinished/bin/ollama" --version 2>&1 | grep -qF "$VERSION" ||
        fail "the binary was built, but does not report version $VERSION"
    # A build that ran beside this one may have finished first: then its result stays.
    [[ -x $BINARY ]] || mv "$unfinished" "$TARGET"
    say "built in ${SECONDS} s"
    echo "$BINARY"
}

main "$@"
