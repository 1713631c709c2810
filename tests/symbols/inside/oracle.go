// Prints how the Go runtime symbolises the addresses of the program. This file is part of several programs: the program in
// this directory and, with `go build -overlay`, the Go compiler and gofmt.

package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	_ "unsafe" // for go:linkname
)

// The functions that runtime/pprof uses to expand the inlined calls at an address and to get the full name of a frame.

//go:linkname expand runtime/pprof.runtime_expandFinalInlineFrame
func expand(stack []uintptr) []uintptr

//go:linkname startLine runtime/pprof.runtime_FrameStartLine
func startLine(frame *runtime.Frame) int

//go:linkname symbolName runtime/pprof.runtime_FrameSymbolName
func symbolName(frame *runtime.Frame) string

// With GOFLAME_SYMBOLS="START END STEP" in the environment, prints a line for each STEPth address whose answer differs from
// the answer before. A line contains the address and the frames, innermost first: name, file, line, start line of the
// function, entry of the physical function. Wrappers are left out, as in Go's tracebacks.
func init() {
	var start, end, step uintptr
	if n, _ := fmt.Sscanf(os.Getenv("GOFLAME_SYMBOLS"), "%x %x %d", &start, &end, &step); n != 3 {
		return
	}
	out := bufio.NewWriter(os.Stdout)
	last := ""
	for pc := start; pc < end; pc += step {
		// The runtime takes pc+1 for a return address, and therefore symbolises pc. This fails if pc+1 is the first address
		// of a function, or is after the last function.
		next := runtime.FuncForPC(pc + 1)
		askable := next != nil && next.Entry() != pc+1
		answer := "\x1e?"
		if askable {
			answer = ""
		}
		frames := runtime.CallersFrames(expand([]uintptr{pc + 1}))
		for askable {
			frame, more := frames.Next()
			answer += fmt.Sprintf("\x1e%s\x1f%s\x1f%d\x1f%d\x1f%x",
				symbolName(&frame), frame.File, frame.Line, startLine(&frame), frame.Entry)
			if !more {
				break
			}
		}
		if answer != last {
			fmt.Fprintf(out, "%x%s\n", pc, answer)
			last = answer
		}
	}
	if err := out.Flush(); err != nil {
		panic(err)
	}
	os.Exit(0)
}
