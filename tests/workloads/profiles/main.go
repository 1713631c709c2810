// Profiles writes all profiles of Go's runtime into the directory in its argument: cpu.pb.gz, heap.pb.gz, allocs.pb.gz,
// mutex.pb.gz, block.pb.gz and goroutine.pb.gz. It writes all except the CPU profile as text too, such as heap.txt. Its work
// has inlined calls, recursion, generics, closures, assembly, and samples with labels.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"syscall"
	"time"
)

var kept [][]byte

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: profiles DIRECTORY")
		os.Exit(2)
	}
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	runtime.MemProfileRate = 4096

	file := create("cpu.pb.gz")
	check(pprof.StartCPUProfile(file))
	compute(0.7)
	pprof.StopCPUProfile()
	check(file.Close())

	allocate()
	contend()
	pprof.Do(context.Background(), pprof.Labels("tenant", "acme"), func(context.Context) { go waitForever() })
	// After a collection, the heap profile shows the memory in use.
	runtime.GC()
	for _, name := range []string{"heap", "allocs", "mutex", "block", "goroutine"} {
		file := create(name + ".pb.gz")
		check(pprof.Lookup(name).WriteTo(file, 0))
		check(file.Close())
		text := create(name + ".txt")
		check(pprof.Lookup(name).WriteTo(text, 1))
		check(text.Close())
	}
	runtime.KeepAlive(kept)
}

func create(name string) *os.File {
	file, err := os.Create(filepath.Join(os.Args[1], name))
	check(err)
	return file
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "profiles:", err)
		os.Exit(1)
	}
}

// compute works until the program has used this number of CPU seconds.
func compute(seconds float64) {
	var sum uint64
	for usedCPU() < seconds {
		sum += fib(22)
		pprof.Do(context.Background(), pprof.Labels("tenant", "acme"), func(context.Context) {
			sum += mixed(300_000)
		})
		sum += sorted[int](20_000) + sorted[float64](20_000)
		digest := sha256.Sum256(make([]byte, 1<<18))
		sum += uint64(digest[0])
	}
	if sum == 0 {
		os.Exit(1)
	}
}

// usedCPU returns the seconds of CPU time that the program has used.
func usedCPU() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

//go:noinline
func fib(n uint64) uint64 {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

// mixed inlines step, which inlines turn.
//
//go:noinline
func mixed(rounds int) uint64 {
	x := uint64(1)
	for i := 0; i < rounds; i++ {
		x = step(x)
	}
	return x
}

func step(x uint64) uint64 { return turn(x)*5 + 1 }

func turn(x uint64) uint64 { return x<<13 ^ x>>7 }

func sorted[T int | float64](count int) uint64 {
	values := make([]T, count)
	for i := range values {
		values[i] = T(i * 7919 % count)
	}
	slices.SortFunc(values, func(a, b T) int {
		switch {
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	})
	return uint64(values[1])
}

// waitForever is in the goroutine profile. Its goroutine inherits the label of the goroutine that started it.
func waitForever() { select {} }

func allocate() {
	for i := 0; i < 2000; i++ {
		block := make([]byte, 1000+i)
		if i%3 == 0 {
			kept = append(kept, block)
		}
	}
}

func contend() {
	var mutex sync.Mutex
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 20; j++ {
				mutex.Lock()
				time.Sleep(time.Millisecond)
				mutex.Unlock()
			}
		}()
	}
	group.Wait()
}
