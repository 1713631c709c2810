// Cthreads makes many short threads. In a program with C code, Go makes threads with pthread_create, and a sample in its
// system call has an old frame pointer. The main goroutine stays on its thread and computes, so there are other samples.
package main

// static int one(void) { return 1; }
import "C"

import (
	"fmt"
	"runtime"
	"sync"
)

//go:noinline
func compute(n uint64) (sum uint64) {
	for i := uint64(0); i < n; i++ {
		sum += i * i % 7
	}
	return sum
}

func main() {
	runtime.LockOSThread()
	sum := uint64(C.one())
	var wait sync.WaitGroup
	for i := 0; i < 4000; i++ {
		wait.Add(1)
		go func() {
			// A thread that stays locked ends with its goroutine.
			runtime.LockOSThread()
			wait.Done()
		}()
		wait.Wait()
		sum += compute(500_000)
	}
	fmt.Println(sum)
}
