#!/bin/sh
# Prepares this machine for profiling Go programs. Written by `goflame doctor --print-script` (goflame @VERSION@).
# Run it as root: `@COMMAND@ | sudo sh`. A second run changes nothing.
# `goflame doctor --undo` takes the changes back.
set -eu

say() { printf '%s\n' "goflame: $1"; }
fail() { printf '%s\n' "goflame: error: $1" >&2; exit 1; }

if [ "$(id -u)" -ne 0 ]; then
	# A shell that reads the script from a pipe has its own name as $0.
	if [ -f "$0" ]; then line="sudo sh '$0'"; else line='@COMMAND@ | sudo sh'; fi
	fail "only root can change kernel settings: $line"
fi
# Everybody may read the files that this script writes and only root may write to them, whatever the umask is.
umask 022
# The record of the changes, for `goflame doctor --undo`.
record=/var/lib/goflame/script

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

# change SETTING VALUE: records the change, then writes the value.
change() {
	mkdir -p "$record"
	printf '%s %s %s\n' "$1" "$now" "$2" >>"$record/changes"
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
		mkdir -p /etc/sysctl.d "$record"
		# Records the text before the first change. A file of another script or of an administrator is kept.
		if [ -f "$conf" ] && ! cmp -s "$conf" "$record/conf-after"; then
			cp "$conf" "$record/conf-before"
		fi
		printf '%s\n' "$new" >"$record/conf-after"
		printf '%s\n' "$new" >"$conf"
		chmod 644 "$conf"
		say "$conf written"
	fi
}

