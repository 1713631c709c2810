// Periodic works in periods: it computes for a quarter of the period in one function, for a quarter in another, and sleeps
// for the rest. At the end, it prints the CPU time in nanoseconds that it measured for each function, as JSON.
package main

import (
	"encoding/json"
	"flag"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

var sink int

// cpuTime returns the CPU time of the calling thread. getrusage would be late by up to a tick of the kernel.
func cpuTime() time.Duration {
	const clockThreadCPUTime = 3 // linux/time.h
	var now syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPUTime, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		panic(errno)
	}
	return time.Duration(now.Nano())
}

// compute computes for a time, and returns the CPU time that it needed.
func compute(length time.Duration) time.Duration {
	begun, end := cpuTime(), time.Now().Add(length)
	for time.Now().Before(end) {
		for i := 0; i < 500; i++ {
			sink += i * i
		}
	}
	return cpuTime() - begun
}

//go:noinline
func first(length time.Duration) time.Duration { return compute(length) }

//go:noinline
func second(length time.Duration) time.Duration { return compute(length) }

func main() {
	period := flag.Duration("period", time.Millisecond, "length of a period")
	seconds := flag.Int("seconds", 3, "how long to run")
	flag.Parse()
	runtime.LockOSThread()
	var measured [2]time.Duration
	next := time.Now()
	for end := next.Add(time.Duration(*seconds) * time.Second); time.Now().Before(end); {
		next = next.Add(*period)
		if rest := time.Until(next); rest > 0 {
			sleep := syscall.NsecToTimespec(int64(rest))
			syscall.Nanosleep(&sleep, nil)
		}
		measured[0] += first(*period / 4)
		measured[1] += second(*period / 4)
	}
	times := map[string]int64{"first": int64(measured[0]), "second": int64(measured[1])}
	if err := json.NewEncoder(os.Stdout).Encode(times); err != nil {
		panic(err)
	}
}
