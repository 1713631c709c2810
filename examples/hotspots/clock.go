package main

import (
	"syscall"
	"unsafe"
)

// Clock ids of clock_gettime(2), from the kernel's uapi/linux/time.h.
const (
	processClock = 2 // CLOCK_PROCESS_CPUTIME_ID
	threadClock  = 3 // CLOCK_THREAD_CPUTIME_ID
)

// cpuTime reads a CPU clock, in nanoseconds. It uses RawSyscall, which does not inform the scheduler, because
// the call never blocks.
func cpuTime(clock uintptr) int64 {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		panic(errno)
	}
	return ts.Nano()
}
