// Onegoroutine computes in a single goroutine with eight processors (Ps), for a second of CPU time. Seven processors have no
// work.
package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

func cpuTime() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func mix(sum, i uint64) uint64 {
	return (sum ^ i) * 1099511628211
}

func main() {
	runtime.GOMAXPROCS(8)
	sum := uint64(1)
	for i := uint64(1); i%(1<<20) != 0 || cpuTime() < time.Second; i++ {
		sum = mix(sum, i)
	}
	fmt.Println(sum != 0)
}
