# Sourced by test.sh. What the tests need beyond npm packages: Chromium, and lavapipe, Mesa's software Vulkan driver, of
# Mesa 24 or newer. `set_up` does nothing when both are there, installs them on Debian as root, and elsewhere says how. With
# them it installs Firefox, for one test that says so where there is none.

find_chromium() {
  local file
  for file in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser; do
    if [ -x "$file" ]; then echo "$file" && return; fi
  done
  return 1
}

# The driver file of lavapipe; on Debian only when Mesa is new enough for Dawn, which wants Vulkan 1.3 of it.
find_lavapipe() {
  local version file
  if [ -x /usr/bin/dpkg-query ]; then
    version=$(dpkg-query -W -f='${Version}\n' mesa-vulkan-drivers 2>/dev/null | head -n 1)
    dpkg --compare-versions "${version:-0}" ge 24 || return 1
  fi
  for file in /usr/share/vulkan/icd.d/lvp_icd*.json; do
    if [ -f "$file" ]; then echo "$file" && return; fi
  done
  return 1
}

# backports_source CODENAME [apt options]: the apt source line for CODENAME's backports, on the mirror from which apt already
# takes CODENAME itself. apt is asked what it would fetch, because it knows all its own formats of source files; its lists
# are looked for in a folder that is not there, so that it names every index. Prints nothing when backports are set up.
backports_source() {
  local codename=$1 indexes mirror
  indexes=$(apt-get -o Dir::State::lists=/nonexistent "${@:2}" update --print-uris 2>/dev/null)
  if grep -q "/dists/$codename-backports/main/binary-" <<<"$indexes"; then return; fi
  mirror=$(sed -nE "s#^'([^']*)/dists/$codename/main/binary-.*#\1#p" <<<"$indexes" | head -n 1)
  if [ -z "$mirror" ]; then
    echo "No apt source offers Debian $codename main, so its backports cannot be found; add them by hand." >&2
    return 1
  fi
  echo "deb $mirror $codename-backports main"
}

# The commands that install what is missing on Debian, one a line.
install_commands() {
  local codename=$1 backports='' source=''
  if ! find_lavapipe >/dev/null && [ "$codename" = bookworm ]; then
    backports="-t $codename-backports" # bookworm's own Mesa is 22.3
    source=$(backports_source "$codename") || return 1
  fi
  if [ -n "$source" ]; then echo "echo '$source' >/etc/apt/sources.list.d/$codename-backports.list"; fi
  echo 'apt-get update'
  if ! find_chromium >/dev/null; then echo 'apt-get install -y --no-install-recommends chromium'; fi
  if [ ! -x /usr/bin/firefox-esr ]; then echo 'apt-get install -y --no-install-recommends firefox-esr'; fi
  if ! find_lavapipe >/dev/null; then echo "apt-get install -y --no-install-recommends $backports mesa-vulkan-drivers"; fi
}

set_up() {
  if find_chromium >/dev/null && find_lavapipe >/dev/null; then return; fi
  local distribution commands
  distribution=$(. /etc/os-release 2>/dev/null && echo "$ID $VERSION_CODENAME")
  if [ "${distribution%% *}" != debian ]; then
    echo 'The tests need Chromium (at /usr/bin/chromium, or where CHROMIUM says) and lavapipe of Mesa 24 or newer (package' >&2
    echo 'mesa-vulkan-drivers or vulkan-swrast). Install them with this system'\''s package manager, or use a Debian container:' >&2
    echo '  docker run --rm -v "$PWD":/project -w /project node:20-bookworm bash -c "npm ci && npm test"' >&2
    return 1
  fi
  commands=$(install_commands "${distribution#* }") || return 1
  if [ "$(id -u)" != 0 ]; then
    printf 'The tests need Chromium and lavapipe of Mesa 24 or newer. As root, run:\n%s\n' "$commands" >&2
    return 1
  fi
  printf 'Installing what the tests need:\n%s\n' "$commands"
  DEBIAN_FRONTEND=noninteractive bash -e <<<"$commands" || return 1
  find_chromium >/dev/null && find_lavapipe >/dev/null
}
