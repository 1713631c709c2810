// Cstacks spends its time in C code with known stacks, compiled with the default flags of C compilers.
//
//	cstacks -mode plain      plain calls middle, which calls spin; they do not change the frame pointer register
//	cstacks -mode recursion  descend calls itself DEPTH times, then spin; it uses every register
//	cstacks -mode sort       libc's qsort calls compare, which calls weigh and spin
//	cstacks -mode callback   visit calls back into Go, which computes
//
// main.work calls the C function on a new goroutine, through a Go function of the mode.
package main

/*
#cgo CFLAGS: -O2 -fomit-frame-pointer
#include "work.h"
*/
import "C"

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"
)

var (
	seconds = flag.Float64("seconds", 2, "seconds of CPU time to use")
	mode    = flag.String("mode", "plain", "plain, recursion, sort or callback")
)

func main() {
	flag.Parse()
	modes := map[string]func(uint64) uint64{
		"plain": callPlain, "recursion": callRecursion, "sort": callSort, "callback": callVisit,
	}
	call, ok := modes[*mode]
	if !ok {
		fmt.Fprintln(os.Stderr, "cstacks: no such mode:", *mode)
		os.Exit(2)
	}
	done := make(chan uint64)
	go work(call, done)
	fmt.Println(<-done)
}

//go:noinline
func work(call func(uint64) uint64, done chan<- uint64) {
	x := uint64(1)
	for usedCPU() < *seconds {
		for i := 0; i < 16; i++ {
			x = call(x)
		}
	}
	done <- x
}

// usedCPU returns the seconds of CPU time that the program has used.
func usedCPU() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

//go:noinline
func callPlain(x uint64) uint64 { return uint64(C.plain(C.uint64_t(x))) }

//go:noinline
func callRecursion(x uint64) uint64 { return uint64(C.recursion(C.uint64_t(x))) }

//go:noinline
func callSort(x uint64) uint64 { return uint64(C.sort(C.uint64_t(x))) }

//go:noinline
func callVisit(x uint64) uint64 { return uint64(C.visit(C.uint64_t(x))) }

// goWork is called from C.
//
//export goWork
func goWork(x C.uint64_t) C.uint64_t { return C.uint64_t(busy(uint64(x) | 1)) }

//go:noinline
func busy(x uint64) uint64 {
	for i := 0; i < 20000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}
