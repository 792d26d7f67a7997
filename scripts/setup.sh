#!/usr/bin/env bash
# Makes a fresh checkout ready to build, test and run: system packages, node modules, the native
# parts, dist/. Idempotent; when all is there it changes nothing and takes a second or two.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*"; }
die() {
  echo "setup: $*" >&2
  exit 1
}

[[ "$(uname -s)" == Linux ]] || die "Coracle builds and runs on Linux only"
command -v node >/dev/null || die "Node.js is missing; version 20 or newer is needed"
command -v npm >/dev/null || die "npm is missing; it builds the native parts, too"
(($(node -p 'process.versions.node.split(".")[0]') >= 20)) ||
  die "Node.js $(node --version) is too old; version 20 or newer is needed"

# Packages of apt-packages.txt that are not installed; $1 is "required" or "optional". What follows
# the line "# tests…" is for tests, linters and benchmarks.
missing_packages() {
  awk -v wanted="$1" '
    /^# tests/ { section = "optional"; next }
    /^#/ || NF == 0 { next }
    { if ((section == "" ? "required" : section) == wanted) print $1 }
  ' scripts/apt-packages.txt | while read -r package; do
    [[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] ||
      echo "$package"
  done
}

install_packages() {
  local required=() optional=() wanted=() package
  mapfile -t required < <(missing_packages required)
  mapfile -t optional < <(missing_packages optional)
  local all=("${required[@]}" "${optional[@]}")
  ((${#all[@]} > 0)) || return 0
  if ((EUID != 0)); then
    local command="apt-get install --no-install-recommends ${all[*]}"
    ((${#required[@]} == 0)) || die "not root, and packages are missing; as root: $command"
    say "without root these are left out, and tests that need them are skipped: ${optional[*]}"
    return 0
  fi
  say "installing with apt-get: ${all[*]}"
  apt-get update -qq
  for package in "${all[@]}"; do
    if apt-cache show "$package" >/dev/null 2>&1; then
      wanted+=("$package")
    elif [[ " ${required[*]} " == *" $package "* ]]; then
      die "this distribution has no package $package"
    else
      say "this distribution has no package $package; tests that need it are skipped"
    fi
  done
  ((${#wanted[@]} == 0)) ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}"
}

# The tree that npm recorded in node_modules has every package of package-lock.json, as locked.
modules_fresh() {
  node -e '
    const read = (path) => JSON.parse(require("node:fs").readFileSync(path, "utf8")).packages;
    const wanted = read("package-lock.json");
    const have = read("node_modules/.package-lock.json");
    const stale = Object.entries(wanted).filter(
      ([path, { version, optional }]) =>
        path !== "" && !optional && have[path]?.version !== version,
    );
    process.exit(stale.length === 0 ? 0 : 1);
  ' 2>/dev/null
}

# True if dist/ lacks something or is older than any source.
dist_stale() {
  [[ -f dist/index.js && -f dist/cli/main.js ]] || return 0
  [[ -n "$(find src scripts/bundle.mjs package.json tsconfig.json tsconfig.build.json -newer dist/index.js -type f -print -quit)" ]]
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  install_packages
else
  say "no apt here; needed are the equivalents of these Debian packages:" \
    "$(grep -v '^#' scripts/apt-packages.txt | xargs)"
fi

if ! modules_fresh; then
  say "installing node modules (npm ci)"
  npm ci --no-fund --no-audit --loglevel=error
fi

node scripts/build-native.mjs

if dist_stale; then
  say "compiling src/ to dist/"
  npm run --silent build
  touch dist/index.js
fi
