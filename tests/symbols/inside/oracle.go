// What the Go runtime itself says of the addresses of the program that it runs. This file is put into several
// programs: into the one beside it, and by `go build -overlay` into the Go compiler and gofmt.

package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	_ "unsafe" // for go:linkname
)

// How runtime/pprof expands the inlined calls at an address, and how it names a frame in full.

//go:linkname expand runtime/pprof.runtime_expandFinalInlineFrame
func expand(stack []uintptr) []uintptr

//go:linkname startLine runtime/pprof.runtime_FrameStartLine
func startLine(frame *runtime.Frame) int

//go:linkname symbolName runtime/pprof.runtime_FrameSymbolName
func symbolName(frame *runtime.Frame) string

// With GOFLAME_SYMBOLS="START END STEP" in the environment, prints a line for each STEPth address whose answer is not
// that of the one before: the address, and for each frame from the innermost out its name, file, line, line of the
// function, and the entry of the physical function. Wrappers are left out as the runtime does it.
func init() {
	var start, end, step uintptr
	if n, _ := fmt.Sscanf(os.Getenv("GOFLAME_SYMBOLS"), "%x %x %d", &start, &end, &step); n != 3 {
		return
	}
	out := bufio.NewWriter(os.Stdout)
	last := ""
	for pc := start; pc < end; pc += step {
		// A return address stands for the call before it. The runtime takes the first address of a function for
		// itself, and knows none behind the last function, so that the address before cannot be asked for.
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
