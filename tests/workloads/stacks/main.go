// Stacks runs code with known stacks, and prints facts about them.
//
//	stacks -mode leaf         functions without a frame, each with a single caller
//	stacks -mode assembly     SHA-256, memmove, memclr, duffcopy and map hashing
//	stacks -mode inlined      several levels of inlined calls
//	stacks -mode goroutines   goroutines on separate threads, which measure their CPU time
//	stacks -mode systemstack  like goroutines, with most of the time in the runtime on the threads' own stacks
//	stacks -expand            no work: reads addresses (hexadecimal, one in a line) and prints the frames that
//	                          runtime.CallersFrames gives, innermost first: name file:line, separated by tabs
//
// The modes goroutines and systemstack print one line of JSON: the CPU time of each goroutine, with its entry function,
// number and thread.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var (
	seconds = flag.Float64("seconds", 2, "CPU seconds to spend")
	mode    = flag.String("mode", "leaf", "leaf, assembly, inlined, goroutines or systemstack")
	expands = flag.Bool("expand", false, "expand the addresses on standard input")

	// sink keeps the compiler from removing work.
	sink uint64
)

func main() {
	flag.Parse()
	if *expands {
		expandAll()
		return
	}
	switch *mode {
	case "goroutines":
		measured(entry{0.5, heavy}, entry{0.3, medium}, entry{0.2, light})
		return
	case "systemstack":
		measured(entry{0.3, tracer}, entry{0.2, tracer}, entry{0.2, allocator}, entry{0.15, allocator}, entry{0.15, copier})
		return
	}
	modes := map[string]func(){"leaf": leaves, "assembly": assembly, "inlined": inlined}
	work, ok := modes[*mode]
	if !ok {
		fmt.Fprintln(os.Stderr, "stacks: no such mode:", *mode)
		os.Exit(2)
	}
	for start := cpuTime(processClock); cpuTime(processClock)-start < int64(*seconds*1e9); {
		work()
	}
	fmt.Println(sink)
}

// Clocks of clock_gettime(2).
const (
	processClock = 2
	threadClock  = 3
)

func cpuTime(clock uintptr) int64 {
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func leaves() {
	leafCaller(1 << 18)
	otherCaller(1 << 18)
}

//go:noinline
func leafCaller(n int) {
	for i := 0; i < n; i++ {
		sink += leaf(uint64(i))
	}
}

//go:noinline
func otherCaller(n int) {
	for i := 0; i < n; i++ {
		sink ^= otherLeaf(uint64(i), sink)
	}
}

// leaf has no frame, so that frame pointers lead past its caller.
//
//go:noinline
func leaf(x uint64) uint64 {
	for i := 0; i < 16; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

//go:noinline
func otherLeaf(x, y uint64) uint64 {
	for i := 0; i < 16; i++ {
		x = x*6364136223846793005 + y
	}
	return x
}

func inlined() {
	for i := uint64(0); i < 1<<18; i++ {
		sink += outer(i) + generic(i)
	}
}

//go:noinline
func outer(x uint64) uint64 { return middle(x) + inner(x) }

func middle(x uint64) uint64 { return inner(x*3) ^ inner(x+sink) }

func inner(x uint64) uint64 { return rotate(x) * rotate(x+1) }

func rotate(x uint64) uint64 { return x<<7 | x>>57 }

//go:noinline
func generic[T ~uint64](x T) T { return T(inner(uint64(x)*3) ^ inner(uint64(x)+sink)) }

// part is the CPU time of a goroutine.
type part struct {
	Entry  string `json:"entry"`
	ID     uint64 `json:"id"`
	Thread int    `json:"thread"`
	Nsec   int64  `json:"nsec"`
}

// heavy, medium and light are entries of goroutines, each of which runs on its own thread and reads that thread's CPU clock.
func heavy(p *part, budget int64, all *sync.WaitGroup) {
	spend("main.heavy", p, budget, all, manyLeaves)
}
func medium(p *part, budget int64, all *sync.WaitGroup) {
	spend("main.medium", p, budget, all, manyLeaves)
}
func light(p *part, budget int64, all *sync.WaitGroup) {
	spend("main.light", p, budget, all, manyLeaves)
}

func manyLeaves() uint64 {
	var x uint64
	for i := uint64(0); i < 1<<14; i++ {
		x += leaf(i)
	}
	return x
}

// entry is a function to start a goroutine with, and its share of the CPU time.
type entry struct {
	share float64
	start func(*part, int64, *sync.WaitGroup)
}

// measured runs goroutines to their end and prints what they measured.
func measured(entries ...entry) {
	parts := make([]part, len(entries))
	var all sync.WaitGroup
	all.Add(len(entries))
	for i, entry := range entries {
		go entry.start(&parts[i], int64(*seconds*1e9*entry.share), &all)
	}
	all.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(parts); err != nil {
		os.Exit(1)
	}
}

//go:noinline
func spend(entry string, p *part, budget int64, all *sync.WaitGroup, work func() uint64) {
	defer all.Done()
	runtime.LockOSThread()
	start := cpuTime(threadClock)
	// The goroutine uses much of its stack, so that garbage collections do not shrink the stack.
	var used [3 << 10]byte
	var x uint64
	for cpuTime(threadClock)-start < budget {
		x += work()
		used[x%uint64(len(used))]++
	}
	*p = part{entry, goroutineID(), syscall.Gettid(), cpuTime(threadClock) - start}
	time.Sleep(time.Duration(x&1) * time.Nanosecond)
}

// goroutineID reads the number from the first line of a traceback: `goroutine 18 [running]:`.
func goroutineID() uint64 {
	var text [64]byte
	fields := bytes.Fields(text[:runtime.Stack(text[:], false)])
	id, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return id
}

func expandAll() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		address, err := strconv.ParseUint(lines.Text(), 16, 64)
		if err != nil {
			fmt.Fprintln(os.Stderr, "stacks:", err)
			os.Exit(2)
		}
		// CallersFrames takes return addresses.
		frames := runtime.CallersFrames(expand([]uintptr{uintptr(address) + 1}))
		for more := true; more; {
			var frame runtime.Frame
			frame, more = frames.Next()
			fmt.Fprintf(out, "%s %s:%d\t", frame.Function, frame.File, frame.Line)
		}
		fmt.Fprintln(out)
	}
}
