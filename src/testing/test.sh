#!/usr/bin/env bash
# The whole test (`npm test`): installs what is missing, then lint, types, and the suite in Node (Dawn), in headless Chromium
# and under Deno (wgpu), one after another. Ends with one line that says how each part went; fails when any part did.

cd "$(dirname "$0")/../.." || exit 1
export PATH="$PWD/node_modules/.bin:$PATH"
source src/testing/setup.sh

summary=''
failed=0
passed='' # what a suite says of itself

# part NAME COMMAND...: runs it, adds "NAME ok 12 s" or "NAME FAILED 12 s" to the summary.
part() {
  local name=$1 start=$SECONDS result=ok
  shift
  printf '\n== %s\n' "$name"
  "$@" || { result=FAILED; failed=1; }
  summary+="${summary:+, }$name $result${passed:+ ($passed)} $((SECONDS - start)) s"
  passed=''
}

# suite RUNTIME COMMAND...: runs Vitest in that runtime; a suite in which no test ran has failed.
suite() {
  local report=".cache/tests-$1.json" status
  rm -f "$report"
  "${@:2}" run --mode "$1" --reporter=default --reporter=json --outputFile.json="$report"
  status=$?
  passed=$(node -p "
    const { numPassedTests, numPendingTests } = JSON.parse(fs.readFileSync('$report', 'utf8'));
    numPassedTests + ' passed' + (numPendingTests ? ', ' + numPendingTests + ' skipped' : '')" 2>/dev/null)
  if [ -z "$passed" ] || [ "${passed%% *}" = 0 ]; then
    echo "No test ran in $1." >&2
    return 1
  fi
  return "$status"
}

part set-up set_up
if [ "$failed" = 0 ]; then
  # Built pipelines are kept between runs and clones: lavapipe takes seconds for some, most of the time of a first run.
  export MESA_SHADER_CACHE_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/hyspark/mesa" DENO_DIR="$PWD/.cache/deno"
  export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}" # Mesa complains when it is unset
  export DENO_NO_UPDATE_CHECK=1
  export DENO_WEBGPU_BACKEND=vulkan # never OpenGL
  mkdir -p "$MESA_SHADER_CACHE_DIR" .cache
  driver=${VK_DRIVER_FILES:-$(find_lavapipe)}

  part lint biome check --error-on-warnings .
  part types tsc
  part node suite node env VK_DRIVER_FILES="$driver" vitest
  # Chromium finds the SwiftShader in its own folder, unless told of other drivers.
  part chromium suite chromium env -u VK_DRIVER_FILES vitest
  part deno suite deno env VK_DRIVER_FILES="$driver" deno run -A --unstable-webgpu node_modules/vitest/vitest.mjs
fi

printf '\nnpm test %s: %s\n' "$([ "$failed" = 0 ] && echo passed || echo FAILED)" "$summary"
exit "$failed"
