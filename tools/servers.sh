#!/bin/sh
# Redis, RabbitMQ and PostgreSQL for the tests: what PATH lacks is unpacked from Debian's packages below
# ~/.cache/quarterdeck/servers, without root, and nothing of it is started here. Prints that folder.
set -eu
into="${XDG_CACHE_HOME:-$HOME/.cache}/quarterdeck/servers"

fail() {
  printf 'Error: Expected %s.\nFound %s.\nNext: %s.\n' "$1" "$2" "$3" >&2
  exit 1
}

missing=
for server in redis-server rabbitmq-server postgres; do
  command -v "$server" >/dev/null 2>&1 || missing="$missing $server"
done
case $missing in
*postgres*)  # Debian keeps it off PATH
  for each in /usr/lib/postgresql/*/bin/postgres; do
    [ ! -x "$each" ] || missing=${missing% postgres}
  done
  missing=$(printf '%s' "$missing" | sed 's/postgres$/postgresql/')
  ;;
esac
key=$(printf '%s' "$missing" | tr -d ' ')
if [ -n "$missing" ] && command -v flock >/dev/null 2>&1; then
  # Two processes of one run come at once; the second would replace what the first one's servers run from.
  mkdir -p "$into"
  exec 9>"$into/lock"
  flock 9
fi
if [ -n "$missing" ] && [ ! -f "$into/complete-$key" ]; then
  for command in apt-get dpkg-deb; do
    command -v "$command" >/dev/null 2>&1 ||
      fail "the servers that the tests use" "no$missing, and no $command to get them with" \
        "install them, so that redis-server, rabbitmq-server and postgres are on PATH"
  done
  mkdir -p "$into"
  work=$(mktemp -d "$into/work.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
  # Lists and packages of its own: neither root nor the machine's lock is needed.
  apt() {
    apt-get -qq -y -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o Debug::NoLocking=1 \
      -o APT::Sandbox::User="$(id -un)" --no-install-recommends "$@" >"$work/log" 2>&1 || {
      cat "$work/log" >&2
      fail "Debian's packages of$missing" "an error from apt-get (above)" \
        "check the network, or install them by hand"
    }
  }
  echo "Getting the servers for the tests:$missing" >&2
  apt update
  # shellcheck disable=SC2086 -- several words
  apt --download-only install $missing
  for package in "$work"/cache/archives/*.deb; do
    dpkg-deb --extract "$package" "$work/root"
  done
  # Debian's script names the folder that it would be installed in.
  erl="$work/root/usr/lib/erlang/bin/erl"
  [ ! -f "$erl" ] || sed -i "s#ROOTDIR=/usr/lib/erlang#ROOTDIR=$into/root/usr/lib/erlang#" "$erl"
  rm -rf "$into/root"
  mv "$work/root" "$into/root"
  touch "$into/complete-$key"
fi
echo "$into"
