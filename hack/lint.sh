#!/usr/bin/env bash
# Everything that can be said about the code without running it. Goes through all checks, then fails if one did.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

failed=()

# check NAME COMMAND...: run a check, remember whether it failed.
check() {
  local name=$1
  shift
  echo "== $name"
  "$@" || failed+=("$name")
}

tool() { go tool -modfile=hack/tools/go.mod "$@"; }

format() {
  local files
  files=$(gofmt -l cmd examples hack manifests pkg test)
  [[ -z $files ]] || { printf 'not formatted (gofmt -w mends it):\n%s\n' "$files"; return 1; }
}

# The database of vulnerabilities is fetched: where it is out of reach nothing can be said.
vulnerabilities() {
  local out status
  out=$(tool govulncheck ./... 2>&1)
  status=$?
  if ((status)) && grep -qiE 'fetching vulnerabilities|vuln\.go\.dev.*(dial|refused|forbidden|timeout|no such host)' <<<"$out"; then
    echo "skipped: the vulnerability database is out of reach"
    return 0
  fi
  ((status == 0)) || printf '%s\n' "$out"
  return "$status"
}

scripts() {
  if ! command -v shellcheck >/dev/null; then
    echo "skipped: shellcheck is not installed"
    return 0
  fi
  shellcheck .ci/run hack/*.sh
}

check "format" format
check "vet" go vet ./...
check "golangci-lint" tool golangci-lint run ./...
check "vulnerabilities" vulnerabilities
check "generated files" hack/generate.sh --check
check "scripts" scripts

if ((${#failed[@]})); then
  printf '\nfailed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
  exit 1
fi
