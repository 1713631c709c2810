// Partial writes fast to stdout and stderr while its runtime collects garbage: lines without an end, bytes that are not text,
// lines that look like lines of the runtime, single bytes, and large blocks. It writes the same in each run.
package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const lookAlike = "gc 1 @0.001s 0%: 0.1+0.1+0.1 ms clock, 0.1+0.1/0.1/0.1+0.1 ms cpu, 4->4->0 MB, 4 MB goal, 0 MB stacks, 0 MB globals, 2 P\n"

// slow has only letters: a reader could take a single digit for a part of a line of the runtime.
const slow = "one byte at a time"

var sink []byte

func main() {
	// No garbage collections except those below.
	debug.SetGCPercent(-1)
	var over int32
	done := make(chan int)
	go func() {
		collections := 0
		for ; collections < 5 || atomic.LoadInt32(&over) == 0; collections++ {
			sink = make([]byte, 1<<16)
			runtime.GC()
		}
		done <- collections
	}()
	binary := make([]byte, 256)
	for i := range binary {
		binary[i] = byte(i)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 2000)
	for i := 0; i < 300; i++ {
		os.Stderr.WriteString("partial ")
		os.Stdout.WriteString("out ")
		os.Stderr.Write(binary)
		os.Stderr.WriteString(lookAlike)
		for j := range slow {
			os.Stderr.WriteString(slow[j : j+1])
		}
		if i%10 == 0 {
			os.Stderr.Write(large)
		}
		if i == 100 {
			os.Stderr.WriteString("SCHED ")
		}
		os.Stderr.WriteString("is not followed by a number\n  G1: gc ")
	}
	atomic.StoreInt32(&over, 1)
	<-done
	// The last line of the runtime is written before the end.
	time.Sleep(20 * time.Millisecond)
	os.Stderr.WriteString("no newline at the end")
}
