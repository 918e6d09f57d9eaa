#!/usr/bin/env bash
# Installs or finds the local model server, starts it and pulls models. What is there already is left alone, so running
# this twice changes nothing. docs/local-models.md tells the rest.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: deploy/ollama/install.sh [--gpu N] [--wait SECONDS] [--dry-run] [MODEL ...]

  --gpu N          the GPU the server may use: a number, several (0,1), a GPU-… id, or -1 for none; else OLLAMA_GPU_DEVICE
  --wait SECONDS   how long the server may take to answer (60)
  --dry-run        print the steps, do nothing
  MODEL ...        what to pull; llama3.1:8b when none is named

Read from the environment, else from .env in the current directory:
  OLLAMA_BASE_URL, OLLAMA_HOST   where the server is or will be: http://localhost:11434
  OLLAMA_GPU_DEVICE              becomes its CUDA_VISIBLE_DEVICES
  LOCAL_MODELS_PATH              becomes its OLLAMA_MODELS: where models are kept
  OLLAMA_NUM_PARALLEL            calls at one time; the mesh reads it too
From the environment alone:
  OLLAMA_VERSION                 a release such as v0.35.1; the latest by default
  OLLAMA_PREFIX                  where it is unpacked: ~/.local, or /usr/local for root
  OLLAMA_RELEASES                another place with the same releases, such as a mirror
TEXT
}

say() { printf 'ollama: %s\n' "$*"; }
fail() {
  printf 'ollama: %s\n' "$*" >&2
  exit 1
}
misused() {
  printf 'ollama: %s\n' "$*" >&2
  usage >&2
  exit 2
}

# ---------------------------------------------------------------------------- what is asked for

# Prints a variable of the environment, else of .env; nothing is executed.
setting() {
  local name=$1 value
  value=${!name:-}
  if [ -z "$value" ] && [ -f .env ]; then
    value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$name=//p" .env | tail -n 1)
    case $value in
      \"*) value=${value#\"} value=${value%%\"*} ;;
      \'*) value=${value#\'} value=${value%%\'*} ;;
      *) value=$(printf '%s' "$value" | sed 's/^#.*$//; s/[[:space:]]#.*$//; s/[[:space:]]*$//') ;;
    esac
  fi
  printf '%s' "$value"
}

read_arguments() {
  dry_run=no gpu=$(setting OLLAMA_GPU_DEVICE) patience=60 models=()
  while [ $# -gt 0 ]; do
    case $1 in
      --gpu) [ $# -gt 1 ] || misused "--gpu wants a device"; gpu=$2; shift ;;
      --gpu=*) gpu=${1#--gpu=} ;;
      --wait) [ $# -gt 1 ] || misused "--wait wants seconds"; patience=$2; shift ;;
      --wait=*) patience=${1#--wait=} ;;
      --dry-run) dry_run=yes ;;
      -h | --help) usage; exit 0 ;;
      -*) misused "unknown option $1" ;;
      *) models+=("$1") ;;
    esac
    shift
  done
  [ ${#models[@]} -gt 0 ] || models=(llama3.1:8b)
  check_arguments
}

check_arguments() {
  local model
  for model in "${models[@]}"; do
    [[ $model =~ ^[A-Za-z0-9][A-Za-z0-9._:/-]*$ ]] || misused "\`$model\` is no name of a model; allowed: name[:tag]"
  done
  [[ $patience =~ ^[0-9]{1,5}$ ]] || misused "--wait $patience: allowed are whole seconds"
  [[ $gpu =~ ^(-1|[0-9]+(,[0-9]+)*|GPU-[0-9A-Fa-f-]+(,GPU-[0-9A-Fa-f-]+)*)?$ ]] ||
    misused "\`$gpu\` is no GPU; allowed: 0, 0,1, GPU-…, -1 for none"
}

# Works out where the server is asked ($url) and what it is told to listen on ($listens).
find_address() {
  local said host
  said=$(setting OLLAMA_BASE_URL)
  [ -n "$said" ] || said=$(setting OLLAMA_HOST)
  said=${said%/}
  case $said in
    '') said=http://localhost:11434 ;;
    *://*) ;;
    *:*) said=http://$said ;;
    *) said=http://$said:11434 ;;
  esac
  [[ $said =~ ^https?://[^[:space:]/@?#]+(/[^[:space:]@?#]*)?$ ]] ||
    fail "\`$said\` is no address; allowed in OLLAMA_BASE_URL: http://host[:port]"
  host=${said#*://} host=${host%%/*} host=${host%:*}
  listens=$said
  case $host in
    0.0.0.0 | '[::]') url=${said/"$host"/127.0.0.1} ;;
    *) url=$said ;;
  esac
  case $said in
    https://* | http://*/*) here=no ;; # behind somebody who is not the server itself
    *) case $host in
      localhost | 127.* | 0.0.0.0 | '[::]' | '[::1]' | "$(hostname 2>/dev/null || uname -n)") here=yes ;;
      *) here=no ;;
    esac ;;
  esac
}

# ---------------------------------------------------------------------------- the server

# Prints `answers`, `taken` by something else, or `free`.
state_of_address() {
  local body status=0
  body=$(curl --noproxy '*' -sS --max-time 5 "$url/api/version" 2>/dev/null) || status=$?
  case $body in *'"version"'*) echo answers; return ;; esac
  case $status in 5 | 6 | 7) echo free ;; *) echo taken ;; esac
}

check_gpu() {
  local there device
  [[ $gpu =~ ^[0-9,]+$ ]] || return 0
  if ! command -v nvidia-smi >/dev/null; then
    say "no nvidia-smi here, so nobody can tell whether GPU $gpu is there"
    return 0
  fi
  there=$(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null | tr -d ' ' | tr '\n' ',' | sed 's/,$//')
  for device in ${gpu//,/ }; do
    case ",$there," in *",$device,"*) ;; *) fail "GPU $device is not there; nvidia-smi lists: ${there:-none}" ;; esac
  done
}

find_program() {
  prefix=${OLLAMA_PREFIX:-$([ "$(id -u)" = 0 ] && echo /usr/local || echo "$HOME/.local")}
  program=$(command -v ollama || true)
  [ -n "$program" ] || program=$prefix/bin/ollama
  [ -x "$program" ]
}

install_program() {
  local archive needed
  case $(uname -s) in
    Linux) ;;
    Darwin) fail "install the app from https://ollama.com/download/mac (or: brew install ollama), then run this again" ;;
    *) fail "there is no package for $(uname -s) here; see https://ollama.com/download, then run this again" ;;
  esac
  case $(uname -m) in
    x86_64) archive=ollama-linux-amd64.tar.zst ;;
    aarch64 | arm64) archive=ollama-linux-arm64.tar.zst ;;
    *) fail "there is no package for $(uname -m); see https://ollama.com/download" ;;
  esac
  releases=${OLLAMA_RELEASES:-https://github.com/ollama/ollama/releases}
  if [ "$dry_run" = yes ]; then
    say "not installed; would download ${OLLAMA_VERSION:-the latest} $archive from $releases"
    say "would compare it with sha256sum.txt of that release and unpack it into $prefix"
    return
  fi
  for needed in tar zstd sha256sum; do
    command -v "$needed" >/dev/null || fail "$needed is needed to install and is not here"
  done
  download "$archive"
  mkdir -p "$prefix"
  zstd -dc "$workplace/$archive" | tar -x -C "$prefix" || fail "cannot unpack $archive into $prefix"
  [ -x "$prefix/bin/ollama" ] || fail "$archive has no bin/ollama"
  program=$prefix/bin/ollama
  say "installed $program"
}

# Downloads a file of a release into $workplace and checks it against the sums the vendor publishes beside it.
download() {
  local archive=$1 version=${OLLAMA_VERSION:-} wanted found
  if [ -z "$version" ]; then
    version=$(curl -fsSLI -o /dev/null -w '%{url_effective}' "$releases/latest") || fail "cannot reach $releases/latest"
    version=${version##*/}
  fi
  workplace=$(mktemp -d)
  trap 'rm -rf "$workplace"' EXIT
  say "downloading $version $archive (about 1.4 GB)"
  curl -fsSL -o "$workplace/sums" "$releases/download/$version/sha256sum.txt" ||
    fail "cannot download the checksums of $version from $releases"
  curl -fL --progress-bar -o "$workplace/$archive" "$releases/download/$version/$archive" ||
    fail "cannot download $archive of $version from $releases"
  wanted=$(awk -v name="$archive" '{ file = $2; sub(/^[*]/, "", file); sub(/^[.]\//, "", file) } file == name { print $1 }' \
    "$workplace/sums")
  [ -n "$wanted" ] || fail "sha256sum.txt of $version does not name $archive; nothing was installed"
  found=$(sha256sum "$workplace/$archive" | cut -d ' ' -f 1)
  [ "$found" = "$wanted" ] || fail "$archive is not what was published ($found, not $wanted); nothing was installed"
}

# Starts the server with what it is to know, and keeps a note of it.
start_server() {
  local settings=("OLLAMA_HOST=$listens")
  [ -z "$gpu" ] || settings+=("CUDA_VISIBLE_DEVICES=$gpu")
  [ -z "$path" ] || settings+=("OLLAMA_MODELS=$path")
  [ -z "$parallel" ] || settings+=("OLLAMA_NUM_PARALLEL=$parallel")
  if [ "$dry_run" = yes ]; then
    printf 'would run: %s\n' "${settings[*]} $program serve"
    return
  fi
  [ -z "$path" ] || mkdir -p "$path" || fail "cannot make the directory $path (LOCAL_MODELS_PATH)"
  mkdir -p "$notes"
  # In a session of its own where there is setsid, so that it outlives this shell and its terminal.
  if command -v setsid >/dev/null; then
    nohup setsid env "${settings[@]}" "$program" serve >"$notes/server.log" 2>&1 </dev/null &
  else
    nohup env "${settings[@]}" "$program" serve >"$notes/server.log" 2>&1 </dev/null &
  fi
  printf '%s\n' "$!" >"$notes/server.pid"
  asked_settings >"$notes/server.settings"
  await_server "$!"
}

await_server() {
  local pid=$1 left=$((patience * 5))
  while [ "$left" -gt 0 ]; do
    [ "$(state_of_address)" != answers ] || { say "started (process $pid, log $notes/server.log)"; return; }
    if ! kill -0 "$pid" 2>/dev/null; then
      fail "the server ended before it answered; the end of $notes/server.log:
$(tail -n 5 "$notes/server.log")"
    fi
    sleep 0.2
    left=$((left - 1))
  done
  kill "$pid" 2>/dev/null || true
  fail "the server did not answer at $url within $patience s; its log is $notes/server.log"
}

asked_settings() { printf 'gpu=%s path=%s parallel=%s\n' "$gpu" "$path" "$parallel"; }

# A server that runs keeps the device and the path it was started with; say so when others are asked for.
compare_with_running() {
  local pid
  pid=$(cat "$notes/server.pid" 2>/dev/null || true)
  if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ -f "$notes/server.settings" ]; then
    [ "$(cat "$notes/server.settings")" = "$(asked_settings)" ] ||
      fail "it was started with other settings: $(cat "$notes/server.settings"); to change them: kill $pid, and run this again"
  elif [ -n "$gpu$path$parallel" ]; then
    say "it was not started from here, so its device, its models path and its calls at one time are its own"
  fi
}

provide_server() {
  path=$(setting LOCAL_MODELS_PATH)
  parallel=$(setting OLLAMA_NUM_PARALLEL)
  notes=${XDG_STATE_HOME:-$HOME/.local/state}/llm-mesh/ollama
  case $(state_of_address) in
    answers)
      say "a server answers at $url"
      compare_with_running
      return
      ;;
    taken) fail "something else answers at $url; stop it, or name another port in OLLAMA_BASE_URL" ;;
  esac
  [ "$here" = yes ] || fail "nobody answers at $url, and that is not this machine: start the server there"
  check_gpu
  find_program || install_program
  start_server
}

# ---------------------------------------------------------------------------- the models

installed() {
  local name=$1
  case ${name##*/} in *:*) ;; *) name=$name:latest ;; esac
  curl --noproxy '*' -fsS --max-time 10 "$url/api/tags" 2>/dev/null |
    grep -o '"name" *: *"[^"]*"' | sed 's/.*"\([^"]*\)"$/\1/' | grep -Fxq -- "$name"
}

# Shows how far a pull has come: one JSON object a line.
progress() {
  local line shown='' now
  while IFS= read -r line; do
    last=$line
    now=$(printf '%s' "$line" | sed -n 's/.*"total" *: *\([0-9]*\).*"completed" *: *\([0-9]*\).*/\2 \1/p' |
      awk '$2 > 0 { printf "%d %% of %.1f GB", 100 * $1 / $2, $2 / 1e9 }')
    [ -z "$now" ] || [ "$now" = "$shown" ] || { shown=$now; printf '\r  %s   ' "$now"; }
  done
  [ -z "$shown" ] || printf '\n'
  case $last in
    *'"error"'*) printf '%s\n' "$last" | sed 's/.*"error" *: *"\([^"]*\)".*/  \1/' >&2; return 1 ;;
    *'"success"'*) return 0 ;;
    *) printf '  the server broke off\n' >&2; return 1 ;;
  esac
}

pull() {
  local model=$1 last=''
  if [ "$dry_run" = yes ] && [ "$(state_of_address)" != answers ]; then
    printf 'would pull: %s\n' "$model"
    return
  fi
  if installed "$model"; then
    say "$model is there"
    return
  fi
  if [ "$dry_run" = yes ]; then
    printf 'would pull: %s\n' "$model"
    return
  fi
  say "pulling $model"
  curl --noproxy '*' -sSN "$url/api/pull" -d "{\"model\": \"$model\"}" | progress || fail "cannot pull $model"
  installed "$model" || fail "$model was pulled, but the server does not list it"
}

main() {
  local model
  read_arguments "$@"
  command -v curl >/dev/null || fail "curl is needed and is not here"
  find_address
  case $(setting LOCAL_MODELS_ENABLED | tr '[:upper:]' '[:lower:]') in
    false | 0 | no | off) say "LOCAL_MODELS_ENABLED is false: the mesh will not use this server until it is true" ;;
  esac
  provide_server
  for model in "${models[@]}"; do pull "$model"; done
  [ "$dry_run" = yes ] || say "ready at $url"
}

main "$@"
