# SPDX-License-Identifier: GPL-3.0-or-later
# Sourced by scripts/run and scripts/test: installs what is missing, configures and builds. A second run does nothing
# that is done already.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${BITWRIGHT_BUILD:-$root/build}
packages=(g++ cmake ninja-build pkg-config ccache python3 python3-venv qt6-base-dev qt6-svg-dev libqt6svg6
    libqcustomplot-dev libeigen3-dev libsqlitecpp-dev libsqlite3-dev nlohmann-json3-dev libcli11-dev libspdlog-dev
    libhwy-dev libprotozero-dev libzip-dev zlib1g-dev dataset-fashion-mnist libonnx-testdata)
torch_version=2.13.0

say() { printf '\n== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

install_packages() {
    command -v dpkg-query >/dev/null || { say "not a Debian system: install ${packages[*]} yourself"; return 0; }
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    say "installing ${missing[*]}"
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -qq || die "apt-get update failed; check the network"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null \
        || die "apt-get could not install ${missing[*]}; install them by hand and run again"
}

# LibTorch from the PyTorch wheel, ONNX Runtime beside it for checking exports.
install_python() {
    local venv=$build/venv python=$build/venv/bin/python wanted=(numpy onnx onnxruntime)
    [ -n "${Torch_DIR:-}${CMAKE_PREFIX_PATH:-}" ] || wanted=("torch==$torch_version" "${wanted[@]}")
    mkdir -p "$build"
    [ -x "$python" ] || python3 -m venv "$venv" || die "python3 -m venv failed; install python3-venv"
    local stamp=$venv/installed
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "${wanted[*]}" ] && return 0
    local package
    for package in "${wanted[@]}"; do
        if [[ $package == torch* ]] && ! "$python" -c "import torch, sys; sys.exit(torch.__version__.split('+')[0] != '$torch_version')" 2>/dev/null; then
            # A wheel with CUDA pulls its nvidia packages in: several GB, so say it before it happens.
            if "$python" -m pip install --dry-run --quiet --report - "$package" 2>/dev/null | grep -q '"name": "nvidia-'; then
                say "only PyTorch's CUDA wheel is to be had here: several GB will be downloaded"
            fi
        fi
        say "installing $package"
        "$python" -m pip install --quiet --disable-pip-version-check "$package" || die "pip could not install $package; check the network and the free space"
    done
    printf '%s' "${wanted[*]}" > "$stamp"
}

configure_and_build() {
    if [ ! -f "$build/build.ninja" ]; then
        say "configuring"
        local options=()
        [ -n "${Torch_DIR:-}" ] && options+=("-DTorch_DIR=$Torch_DIR")
        [ -n "${CMAKE_PREFIX_PATH:-}" ] && options+=("-DCMAKE_PREFIX_PATH=$CMAKE_PREFIX_PATH")
        cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${options[@]}" >"$build/configure.log" 2>&1 \
            || { tail -n 30 "$build/configure.log" >&2; die "configuring failed; see build/configure.log"; }
    fi
    say "building"
    cmake --build "$build" -- "$@" >"$build/build.log" 2>&1 \
        || { grep -E 'error|FAILED|undefined' "$build/build.log" | head -n 40 >&2; die "the build failed; see build/build.log"; }
}

set_up() {
    install_packages
    install_python
    configure_and_build "$@"
}
