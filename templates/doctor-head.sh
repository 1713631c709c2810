#!/bin/sh
# Prepares this machine for profiling Go programs. Written by `goflame doctor --print-script` (goflame @VERSION@).
# Run it as root. A second run changes nothing.
set -eu

say() { printf '%s\n' "goflame: $1"; }
fail() { printf '%s\n' "goflame: error: $1" >&2; exit 1; }

[ "$(id -u)" -eq 0 ] || fail "only root can change kernel settings: sudo sh $0"

# file_of SETTING: prints the setting's file.
file_of() { printf '/proc/sys/%s' "$1" | tr . /; }

# read_setting SETTING: reads the value into $now. Fails if it is not a number.
read_setting() {
	file=$(file_of "$1")
	[ -r "$file" ] || fail "$1: this kernel does not have this setting"
	now=$(cat "$file")
	case ${now#-} in
	'' | *[!0-9]*) fail "$1: unexpected value: $now" ;;
	esac
}

# change SETTING VALUE: writes the value.
change() {
	printf '%s\n' "$2" >"$(file_of "$1")" || fail "$1: the kernel refuses $2"
	say "$1: $now -> $2"
}

# at_most SETTING VALUE, at_least SETTING VALUE: changes the setting unless it already meets the bound.
at_most() {
	read_setting "$1"
	if [ "$now" -gt "$2" ]; then change "$1" "$2"; else say "$1 is $now already"; fi
}
at_least() {
	read_setting "$1"
	if [ "$now" -lt "$2" ]; then change "$1" "$2"; else say "$1 is $now already"; fi
}

# persist LINE...: writes a file that sets the settings at each boot.
persist() {
	conf=/etc/sysctl.d/99-goflame.conf
	new=$(printf '%s\n' '# Written by the script of goflame doctor --print-script --persist.' "$@")
	if [ -f "$conf" ] && [ "$(cat "$conf")" = "$new" ]; then
		say "$conf is up to date already"
	else
		# Everybody may read it and only root may write to it, whatever the umask is.
		umask 022
		mkdir -p /etc/sysctl.d
		printf '%s\n' "$new" >"$conf"
		chmod 644 "$conf"
		say "$conf written"
	fi
}

