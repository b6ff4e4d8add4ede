# Debian packages, by purpose, and the one way to install them. Sourced by conf/demo.sh and tests/run.sh.
PACKAGES_BUILD='gcc libc6-dev cmake ninja-build pkg-config python3 libuv1-dev libncurses-dev libinih-dev
    zlib1g-dev libsnappy-dev liblz4-dev libzstd-dev libisal-dev uthash-dev libjansson-dev libsystemd-dev'
# What the two programs need where they run (README.md, "As a service").
PACKAGES_RUN='libuv1 libncursesw6 libinih1 zlib1g libsnappy1v5 liblz4-1 libzstd1 libisal2 libjansson4 libsystemd0'
PACKAGES_DEMO='kcat iproute2'
PACKAGES_TEST='kcat librdkafka-dev iproute2 libcmocka-dev tmux clang-14 libclang-rt-14-dev clang-format-14 llvm-14 binutils systemd
    systemd-container debootstrap'

# packages_missing NAME...: those that are not installed.
packages_missing() {
    local name
    for name in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) in
        'install ok installed') ;;
        *) printf '%s ' "$name" ;;
        esac
    done
}

# packages_need NAME...: installs what is missing, by apt alone, and says what. Returns 2 with the exact list when
# it cannot.
packages_need() {
    local missing as_root=''
    if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
        printf 'There is no apt on this machine. Needed, by their Debian 12 names:\n%s\n' "$(printf ' %s' $*)" >&2
        return 2
    fi
    missing=$(packages_missing "$@")
    [ -n "$missing" ] || return 0
    printf 'Will install with apt: %s\n' "$missing"
    if [ "$(id -u)" -ne 0 ]; then
        if [ -t 0 ]; then as_root='sudo'; else as_root='sudo -n'; fi
        if ! $as_root true 2>/dev/null; then
            printf 'No rights to install packages. As root:\n  apt-get install %s\n' "$missing" >&2
            return 2
        fi
    fi
    # The lock may be held by an unattended upgrade: wait for it.
    if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq update ||
        ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y \
            --no-install-recommends install $missing </dev/null >/dev/null; then
        printf 'apt could not install: %s\n' "$missing" >&2
        return 2
    fi
}
