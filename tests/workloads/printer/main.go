// Printer writes known lines, so that a test can check stdout, stderr, stdin, arguments, environment and working directory
// of a workload:
//
//	stdout: "out 1" to "out N", "arg WORD" for each argument, "env NAME=VALUE" for each -env, "dir PATH" with
//	        -dir, then standard input unchanged with -stdin
//	stderr: "err 1" to "err N", the last one without a line end
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	lines := flag.Int("lines", 3, "lines on each of stdout and stderr")
	names := flag.String("env", "", "names of variables to print, separated by commas")
	dir := flag.Bool("dir", false, "print the working directory")
	stdin := flag.Bool("stdin", false, "copy standard input to standard output")
	flag.Parse()

	if err := write(*lines, *names, *dir, *stdin); err != nil {
		fmt.Fprintln(os.Stderr, "printer:", err)
		os.Exit(1)
	}
}

func write(lines int, names string, dir, stdin bool) error {
	out := bufio.NewWriter(os.Stdout)
	for i := 1; i <= lines; i++ {
		fmt.Fprintln(out, "out", i)
	}
	for _, arg := range flag.Args() {
		fmt.Fprintln(out, "arg", arg)
	}
	if names != "" {
		for _, name := range strings.Split(names, ",") {
			fmt.Fprintf(out, "env %s=%s\n", name, os.Getenv(name))
		}
	}
	if dir {
		where, err := os.Getwd()
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "dir", where)
	}
	if stdin {
		if _, err := io.Copy(out, os.Stdin); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}

	errors := bufio.NewWriter(os.Stderr)
	for i := 1; i <= lines; i++ {
		if i > 1 {
			fmt.Fprintln(errors)
		}
		fmt.Fprintf(errors, "err %d", i)
	}
	return errors.Flush()
}
